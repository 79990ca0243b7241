// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! The public map: which address the links of which keys lead to.
//!
//! The service reaches its bucket by one address, and its users by another: a public host, a CDN, a plain
//! public base. The map says which, in rules that are tried in order. A link is signed for the address
//! that the client will call and is never rewritten after; so a rule under which the signature would not
//! hold is refused when the storage is opened, with the reason:
//!
//! | Rule | Refused, because |
//! |---|---|
//! | an endpoint with a path (S3, GCS) | the signature covers the path that the server sees |
//! | an address with a query, a fragment or user information | no signature covers them |
//! | http before a bucket that is called by https | a redirect drops what was signed |
//! | a virtual host for a bucket with dots, on https | no wildcard certificate covers it |
//! | a virtual host for a name that is no host name, or before a number address | clients change it |
//! | a virtual host before an endpoint that names the bucket | it would be named twice |
//! | an endpoint for a folder or for memory | a folder's router accepts its own base URL only |
//! | CloudFront by http | the signature covers the scheme |
//! | CloudFront before anything but S3 | the bucket would stay open beside the signature |
//! | two addresses, or an address that a style or a flag does not go with | it is not clear what holds |
//! | a rule behind one that takes all its links | it would never be used |

mod fault;
pub(crate) mod resolve;
pub(crate) mod rule;

use std::collections::BTreeMap;
use std::sync::Arc;

use fault::BucketFacts;
pub(crate) use resolve::Route;
pub(crate) use rule::AddressStyle;
pub use rule::{CloudFrontKey, Rule};

use crate::ConfigError;
use crate::backend::{Backend, Bucket};

/// The most rules of a map: each link tries them in order.
const RULES_MAX: usize = 1_000;

/// Ordered rules that say where the links of keys lead; the first that matches is taken.
///
/// Without a rule for a key, its links lead to the bucket's own address. At most 1,000 rules.
///
/// # Examples
/// ```
/// use forktex_storage::{PublicMap, Rule, S3Config, Storage, StorageConfig};
///
/// # fn config() -> Result<StorageConfig, forktex_storage::ConfigError> {
/// // The service calls MinIO inside; browsers come by the public host.
/// let map = PublicMap::new()
///     .rule(Rule::prefix("avatars/").public_base("https://static.example.com/files"))
///     .rule(Rule::any().endpoint("https://files.example.com").path_style());
/// let bucket = S3Config::minio("http://minio:9000", "files", "key", "secret");
/// let config = StorageConfig::new(bucket).public_map(map);
/// # Ok(config)
/// # }
/// ```
#[derive(Clone, Debug, Default)]
pub struct PublicMap {
    rules: Vec<Rule>,
}

impl PublicMap {
    /// A map without rules.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a rule behind those that are there.
    pub fn rule(mut self, rule: Rule) -> Self {
        self.rules.push(rule);
        self
    }

    /// The rules in their order.
    pub(crate) fn rules(&self) -> &[Rule] {
        &self.rules
    }

    /// Refuses the first rule under which a link would not work.
    pub(crate) fn check(&self, buckets: &BTreeMap<String, Arc<Bucket>>) -> Result<(), ConfigError> {
        let facts: Vec<_> = buckets.values().map(|bucket| facts_of(bucket)).collect();
        self.check_facts(&facts)
    }

    fn check_facts(&self, buckets: &[BucketFacts<'_>]) -> Result<(), ConfigError> {
        for (index, rule) in self.rules.iter().enumerate() {
            if let Some(reason) = self.fault_at(index, rule, buckets) {
                return Err(ConfigError::PublicRule {
                    rule: format!("{} for {rule}", index + 1),
                    reason,
                });
            }
        }
        Ok(())
    }

    fn fault_at(&self, index: usize, rule: &Rule, buckets: &[BucketFacts<'_>]) -> Option<String> {
        if index >= RULES_MAX {
            return Some(format!("a map has at most {RULES_MAX} rules"));
        }
        if let Some(reason) = rule.fault_of_its_own() {
            return Some(reason);
        }
        if let Some(name) = rule.bucket_name()
            && !buckets.iter().any(|bucket| bucket.name == name)
        {
            let known: Vec<_> = buckets.iter().map(|bucket| bucket.name).collect();
            return Some(format!(
                "there is no bucket `{name}`; the configuration names {}",
                known.join(", ")
            ));
        }
        for bucket in buckets.iter().filter(|bucket| rule.is_for(bucket.name)) {
            if let Some(reason) = rule.fault(bucket) {
                return Some(match rule.bucket_name() {
                    Some(_) => reason,
                    None if buckets.len() == 1 => reason,
                    None => format!(
                        "for bucket `{}`: {reason}; or keep the rule to another bucket by `.bucket(name)`",
                        bucket.name
                    ),
                });
            }
        }
        let earlier = self.rules.iter().take(index);
        let hiding = earlier.enumerate().find(|(_, earlier)| earlier.hides(rule));
        hiding.map(|(at, earlier)| {
            format!(
                "rule {} for {earlier} takes all its links before; put the narrower rule first",
                at + 1
            )
        })
    }
}

/// What the rules must know of a bucket.
fn facts_of(bucket: &Bucket) -> BucketFacts<'_> {
    let (remote_name, is_https, path_style) = match &bucket.backend {
        Backend::S3(s3) => (
            s3.bucket.as_str(),
            s3.endpoint.scheme() == "https",
            s3.path_style,
        ),
        Backend::Gcs(gcs) => (gcs.bucket.as_str(), gcs.endpoint.scheme() == "https", true),
        Backend::Azure(azure) => (
            azure.container.as_str(),
            azure.endpoint.scheme() == "https",
            true,
        ),
        Backend::Folder(folder) => {
            let signing = folder.signing.as_ref();
            let is_https = signing.is_some_and(|signing| signing.base_url.scheme() == "https");
            (bucket.name.as_str(), is_https, true)
        }
        Backend::Memory(_) => (bucket.name.as_str(), false, true),
    };
    BucketFacts {
        name: &bucket.name,
        kind: bucket.backend.kind(),
        remote_name,
        is_https,
        path_style,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::BackendKind;

    fn bucket(name: &'static str, kind: BackendKind) -> BucketFacts<'static> {
        BucketFacts {
            name,
            kind,
            remote_name: name,
            is_https: true,
            path_style: true,
        }
    }

    fn refusal(map: &PublicMap, buckets: &[BucketFacts<'_>]) -> String {
        map.check_facts(buckets).unwrap_err().to_string()
    }

    #[test]
    fn a_rule_for_a_bucket_that_is_not_there_is_refused() {
        let map = PublicMap::new().rule(Rule::any().bucket("letters"));
        let said = refusal(&map, &[bucket("default", BackendKind::S3)]);
        assert!(
            said.contains("letters") && said.contains("default"),
            "{said}"
        );
    }

    #[test]
    fn a_rule_for_all_buckets_must_hold_for_each() {
        let rule = Rule::any().endpoint("https://files.example.com");
        let buckets = [
            bucket("default", BackendKind::S3),
            bucket("scratch", BackendKind::Memory),
        ];
        let said = refusal(&PublicMap::new().rule(rule.clone()), &buckets);
        assert!(
            said.contains("scratch") && said.contains(".bucket(name)"),
            "{said}"
        );
        let kept = PublicMap::new().rule(rule.bucket("default"));
        assert!(kept.check_facts(&buckets).is_ok());
    }

    #[test]
    fn a_rule_that_would_never_be_used_is_refused() {
        let map = PublicMap::new()
            .rule(Rule::any().endpoint("https://files.example.com"))
            .rule(Rule::prefix("avatars").public_base("https://cdn.example.com"));
        let said = refusal(&map, &[bucket("default", BackendKind::S3)]);
        assert!(
            said.contains("rule 1") && said.contains("avatars"),
            "{said}"
        );
    }

    #[test]
    fn a_map_is_bounded() {
        let mut map = PublicMap::new();
        for number in 0..=RULES_MAX {
            map = map.rule(Rule::prefix(format!("p{number}")).public());
        }
        let said = refusal(&map, &[bucket("default", BackendKind::S3)]);
        assert!(said.contains("at most 1000"), "{said}");
    }
}
