// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! From a key to the way that its link takes.
//!
//! Pure, and the same for each link: the first rule that is for the bucket, the key and the access. It
//! never looks at what is stored.

use url::Url;

use super::PublicMap;
use super::rule::{AddressStyle, CloudFront, Rule, Target};
use crate::PublicAccess;
use crate::ticket::is_quarantined;

/// The way that a link takes.
#[derive(Clone, Copy)]
pub(crate) enum Route<'a> {
    /// The bucket's own address.
    BucketItself,
    /// A host that a rule names.
    Endpoint {
        url: &'a Url,
        style: Option<AddressStyle>,
    },
    /// A CloudFront distribution.
    CloudFront {
        base: &'a Url,
        cloudfront: &'a CloudFront,
    },
    /// A public place; without a base it is the bucket's own address.
    Public { base: Option<&'a Url> },
}

impl PublicMap {
    /// The way of a link to one full key.
    pub(crate) fn route(&self, bucket: &str, key: &str, access: PublicAccess) -> Route<'_> {
        self.rules()
            .iter()
            .filter(|rule| access == PublicAccess::Read || rule.takes_writes())
            .find(|rule| rule.is_for(bucket) && rule.pattern.covers(key))
            .map_or(Route::BucketItself, Route::of)
    }

    /// The one way of reads of all keys below a full prefix; absent where parts of it go different ways.
    pub(crate) fn route_below(&self, bucket: &str, prefix: &str) -> Option<Route<'_>> {
        let mut rules = self.rules().iter().filter(|rule| rule.is_for(bucket));
        let first = rules.find(|rule| rule.pattern.covers(prefix) || rule.pattern.is_below(prefix));
        match first {
            None => Some(Route::BucketItself),
            Some(rule) if rule.pattern.covers(prefix) => Some(Route::of(rule)),
            Some(_) => None,
        }
    }

    /// Whether a full key may be read without a signature.
    #[cfg_attr(
        not(feature = "serve"),
        allow(dead_code, reason = "only the router serves public keys")
    )]
    pub(crate) fn is_public(&self, bucket: &str, key: &str) -> bool {
        // What waits to be checked is nobody's yet, even where everything else is public.
        let route = self.route(bucket, key, PublicAccess::Read);
        matches!(route, Route::Public { .. }) && !is_quarantined(key)
    }
}

impl<'a> Route<'a> {
    fn of(rule: &'a Rule) -> Self {
        // An address that is no URL does not come past the opening of the storage.
        match rule.target_ref() {
            Target::BucketItself => Self::BucketItself,
            Target::Endpoint(address) => {
                address
                    .url()
                    .map_or(Self::BucketItself, |url| Self::Endpoint {
                        url,
                        style: rule.style(),
                    })
            }
            Target::CloudFront(cloudfront) => {
                cloudfront
                    .base
                    .url()
                    .map_or(Self::BucketItself, |base| Self::CloudFront {
                        base,
                        cloudfront,
                    })
            }
            Target::Public(address) => Self::Public {
                base: address.as_ref().and_then(super::rule::Address::url),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn host(route: Route<'_>) -> &str {
        match route {
            Route::BucketItself => "own",
            Route::Endpoint { url, .. } => url.host_str().unwrap(),
            Route::CloudFront { base, .. } => base.host_str().unwrap(),
            Route::Public { base } => base.map_or("public", |base| base.host_str().unwrap()),
        }
    }

    fn map() -> PublicMap {
        PublicMap::new()
            .rule(Rule::prefix("avatars/internal"))
            .rule(Rule::prefix("avatars").public_base("https://cdn.example"))
            .rule(
                Rule::prefix("logs")
                    .bucket("archive")
                    .endpoint("https://logs.example"),
            )
            .rule(Rule::any().endpoint("https://files.example"))
    }

    #[test]
    fn the_first_rule_that_matches_is_taken() {
        let map = map();
        let read = |bucket, key| host(map.route(bucket, key, PublicAccess::Read));
        assert_eq!(read("default", "avatars/1.png"), "cdn.example");
        assert_eq!(read("default", "avatars/internal/1.png"), "own");
        assert_eq!(read("default", "avatars-old/1.png"), "files.example");
        assert_eq!(read("default", "logs/1"), "files.example");
        assert_eq!(read("archive", "logs/1"), "logs.example");
    }

    #[test]
    fn a_write_passes_public_rules_by() {
        let map = map();
        let write = |key| host(map.route("default", key, PublicAccess::Write));
        assert_eq!(write("avatars/1.png"), "files.example");
        assert_eq!(write("avatars/internal/1.png"), "own");
    }

    #[test]
    fn without_a_rule_the_bucket_itself_is_called() {
        let none = PublicMap::new();
        assert_eq!(host(none.route("default", "a", PublicAccess::Read)), "own");
        assert!(!none.is_public("default", "a"));
    }

    #[test]
    fn only_a_public_rule_opens_a_key() {
        let map = map();
        assert!(map.is_public("default", "avatars/1.png"));
        assert!(!map.is_public("default", "avatars/internal/1.png"));
        assert!(!map.is_public("default", "letters/1.txt"));
    }

    #[test]
    fn what_waits_to_be_checked_is_never_public() {
        let map = PublicMap::new().rule(Rule::any().public());
        assert!(map.is_public("default", "a") && map.is_public("default", "org/acme/a"));
        assert!(!map.is_public("default", "quarantine/a"));
        assert!(!map.is_public("default", "org/acme/quarantine/a"));
    }

    #[test]
    fn a_prefix_has_one_way_only_where_no_rule_cuts_it() {
        let map = map();
        assert!(map.route_below("default", "avatars").is_none());
        let deeper = map.route_below("default", "avatars/small").unwrap();
        assert_eq!(host(deeper), "cdn.example");
        assert!(map.route_below("archive", "").is_none());
        assert_eq!(
            host(map.route_below("default", "letters").unwrap()),
            "files.example"
        );
    }
}
