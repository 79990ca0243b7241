// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! One rule of a public map: which keys it is for, and which address their links get.
//!
//! A rule only keeps what it was told. Whether it can hold for a bucket is asked once, when the storage
//! is opened: [`Rule::fault`] names the first reason why a link under it would be refused by the server.

use std::fmt;

use url::Url;

use super::fault::{BucketFacts, cloudfront_fault, endpoint_fault, public_fault};
use crate::sign;
use crate::{BackendKind, ConfigError, Key, Secret};

/// Where the links of some keys lead.
///
/// A rule that names no address sends its keys to the bucket's own address; that exempts a prefix from a
/// broader rule below it. CloudFront and public rules are for reads: a link that writes passes them by and
/// takes the next rule that matches.
///
/// # Examples
/// ```
/// use forktex_storage::{MemoryConfig, PublicMap, Rule, Storage, StorageConfig};
///
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// let map = PublicMap::new()
///     .rule(Rule::prefix("avatars/").public_base("https://static.example.com/media"));
/// let config = StorageConfig::new(MemoryConfig::new()).public_map(map);
/// assert!(Storage::open(config).await.is_ok());
/// # });
/// ```
#[derive(Clone)]
pub struct Rule {
    pub(crate) pattern: Pattern,
    bucket: Option<String>,
    target: Target,
    style: Option<AddressStyle>,
    targets_named: u8,
    misplaced: Option<&'static str>,
}

/// How the bucket is named in an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum AddressStyle {
    /// `https://host/bucket/key`.
    Path,
    /// `https://bucket.host/key`.
    VirtualHost,
}

/// The address that a rule names.
#[derive(Clone)]
pub(crate) enum Target {
    BucketItself,
    Endpoint(Address),
    CloudFront(CloudFront),
    Public(Option<Address>),
}

/// A CloudFront distribution in front of a bucket.
#[derive(Clone)]
pub(crate) struct CloudFront {
    pub(crate) base: Address,
    pub(crate) key: CloudFrontKey,
    pub(crate) forwards_response_headers: bool,
}

/// A URL as the configuration wrote it; a text that is no URL is refused when the storage is opened.
#[derive(Clone)]
pub(crate) struct Address(Option<Url>);

/// A key pair of a CloudFront key group: the id that AWS shows and the RSA private key.
///
/// It is cheap to clone, and never shown.
#[derive(Clone)]
pub struct CloudFrontKey(sign::cloudfront::Key);

/// Which keys a rule is for: whole segments, `*` for any one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Pattern(String);

impl Rule {
    /// A rule for the keys at and below a prefix.
    ///
    /// Full keys are compared, by whole segments: `invoices/` takes `invoices/2026/7.pdf` and not
    /// `invoices-old/7.pdf`. A tenant's keys begin with `org/<org>/`. A segment `*` stands for any one
    /// segment: `org/*/avatars/` takes the avatars of each tenant.
    pub fn prefix(prefix: impl AsRef<str>) -> Self {
        Self::of(Pattern(prefix.as_ref().trim_end_matches('/').to_owned()))
    }

    /// A rule for every key.
    pub fn any() -> Self {
        Self::of(Pattern(String::new()))
    }

    fn of(pattern: Pattern) -> Self {
        Self {
            pattern,
            bucket: None,
            target: Target::BucketItself,
            style: None,
            targets_named: 0,
            misplaced: None,
        }
    }

    /// Keeps the rule to one bucket, by its name in the configuration. Without it the rule is for all
    /// buckets, and must hold for each of them.
    pub fn bucket(mut self, name: impl Into<String>) -> Self {
        self.bucket = Some(name.into());
        self
    }

    /// The host that the client calls, such as `https://files.example.com`: the signature is made for it.
    ///
    /// It must pass requests on unchanged, path and `Host` header included. It names no bucket; where the
    /// bucket stands is said by [`path_style`](Self::path_style) or [`virtual_host`](Self::virtual_host),
    /// and otherwise is as at the bucket's own endpoint.
    pub fn endpoint(self, url: impl AsRef<str>) -> Self {
        self.target(Target::Endpoint(Address::read(url.as_ref())))
    }

    /// Links name the bucket in the path: `https://host/bucket/key`.
    pub fn path_style(mut self) -> Self {
        self.style = Some(AddressStyle::Path);
        self
    }

    /// Links name the bucket in the host: `https://bucket.host/key`.
    pub fn virtual_host(mut self) -> Self {
        self.style = Some(AddressStyle::VirtualHost);
        self
    }

    /// Reads go through a CloudFront distribution, and are signed with its key pair.
    ///
    /// The distribution must serve the bucket's keys as its own paths below the base. It must not be
    /// reachable without a signature: turn on a trusted key group for the behaviour, and close the bucket
    /// itself to all but the distribution.
    pub fn cloudfront(self, base_url: impl AsRef<str>, key: CloudFrontKey) -> Self {
        self.target(Target::CloudFront(CloudFront {
            base: Address::read(base_url.as_ref()),
            key,
            forwards_response_headers: false,
        }))
    }

    /// Says that the CloudFront distribution forwards `response-content-type` and
    /// `response-content-disposition` to the bucket, so that links may set them.
    ///
    /// A distribution drops query parameters unless its cache policy or origin request policy names them.
    /// Without this, a link that needs them is refused rather than sent out without its meaning.
    pub fn forwards_response_headers(mut self) -> Self {
        match &mut self.target {
            Target::CloudFront(cloudfront) => cloudfront.forwards_response_headers = true,
            _ => {
                self.misplaced = Some(
                    "forwarding is said of a CloudFront distribution, and it names none before; call \
                     `.cloudfront(..)` first",
                );
            }
        }
        self
    }

    /// Keys below the prefix are public: [`Storage::public_url`](crate::Storage::public_url) answers with
    /// this base and the key, without a signature.
    ///
    /// Opening such a place to all is done at the bucket or the CDN. A folder's router opens it by this
    /// very rule.
    pub fn public_base(self, url: impl AsRef<str>) -> Self {
        self.target(Target::Public(Some(Address::read(url.as_ref()))))
    }

    /// Keys below the prefix are public at the bucket's own address; see
    /// [`public_base`](Self::public_base).
    pub fn public(self) -> Self {
        self.target(Target::Public(None))
    }

    fn target(mut self, target: Target) -> Self {
        self.target = target;
        self.targets_named = self.targets_named.saturating_add(1);
        self
    }

    /// The bucket that the rule is kept to.
    pub(crate) fn bucket_name(&self) -> Option<&str> {
        self.bucket.as_deref()
    }

    /// The address.
    pub(crate) fn target_ref(&self) -> &Target {
        &self.target
    }

    /// The style said by the rule.
    pub(crate) fn style(&self) -> Option<AddressStyle> {
        self.style
    }

    /// Whether links that write take the rule; reads always do.
    pub(crate) fn takes_writes(&self) -> bool {
        matches!(self.target, Target::BucketItself | Target::Endpoint(_))
    }

    /// Whether the rule may be used for a bucket.
    pub(crate) fn is_for(&self, bucket: &str) -> bool {
        self.bucket.as_deref().is_none_or(|name| name == bucket)
    }

    /// Whether no key is left for `later`, which stands below this rule.
    pub(crate) fn hides(&self, later: &Self) -> bool {
        let buckets = self.bucket.is_none() || self.bucket == later.bucket;
        let accesses = self.takes_writes() || !later.takes_writes();
        buckets && accesses && self.pattern.covers(&later.pattern.0)
    }

    /// What is wrong with the rule whatever the bucket.
    pub(crate) fn fault_of_its_own(&self) -> Option<String> {
        if let Some(reason) = self.pattern.fault() {
            return Some(reason);
        }
        if self.targets_named > 1 {
            return Some(
                "it names more than one address; write a rule for each, the first one that matches is taken"
                    .to_owned(),
            );
        }
        if self.style.is_some() && !matches!(self.target, Target::Endpoint(_)) {
            return Some(
                "path style and virtual host are said of an endpoint, and it names none; add `.endpoint(url)`"
                    .to_owned(),
            );
        }
        if let Some(reason) = self.misplaced {
            return Some(reason.to_owned());
        }
        match &self.target {
            Target::BucketItself | Target::Public(None) => None,
            Target::Endpoint(address)
            | Target::CloudFront(CloudFront { base: address, .. })
            | Target::Public(Some(address)) => address.fault().map(str::to_owned),
        }
    }

    /// Why a link under this rule would not work for a bucket.
    pub(crate) fn fault(&self, bucket: &BucketFacts<'_>) -> Option<String> {
        match &self.target {
            Target::Endpoint(address) => endpoint_fault(address.url()?, self.style, bucket),
            Target::CloudFront(cloudfront) => cloudfront_fault(cloudfront.base.url()?, bucket),
            Target::Public(Some(address)) => public_fault(address.url()?, bucket),
            Target::Public(None) if bucket.kind == BackendKind::Memory => {
                Some("memory has no address of its own; give one by `.public_base(url)`".to_owned())
            }
            Target::BucketItself | Target::Public(None) => None,
        }
    }
}

/// Shows the prefix, the bucket and the kind of the address: a URL might hold a password.
impl fmt::Debug for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let target = match &self.target {
            Target::BucketItself => "the bucket itself",
            Target::Endpoint(_) => "endpoint",
            Target::CloudFront(_) => "CloudFront",
            Target::Public(_) => "public",
        };
        f.debug_struct("Rule")
            .field("prefix", &self.pattern.0)
            .field("bucket", &self.bucket)
            .field("target", &target)
            .finish_non_exhaustive()
    }
}

/// The prefix, as errors name the rule.
impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.pattern.0.as_str() {
            "" => f.write_str("any key"),
            prefix => write!(f, "`{prefix}/`"),
        }
    }
}

impl Address {
    fn read(text: &str) -> Self {
        Self(Url::parse(text).ok())
    }

    /// The URL; absent where the text was none, which opening the storage refuses.
    pub(crate) fn url(&self) -> Option<&Url> {
        self.0.as_ref()
    }

    /// What no address may have.
    fn fault(&self) -> Option<&'static str> {
        let Some(url) = &self.0 else {
            return Some(
                "its address is no absolute URL; write it like `https://files.example.com`",
            );
        };
        if !matches!(url.scheme(), "http" | "https") {
            return Some("its address must begin with https:// or http://");
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Some(
                "its address has user information, which clients would send as a second credential",
            );
        }
        if url.query().is_some() {
            return Some("its address has a query, which the signature of a link would not cover");
        }
        if url.fragment().is_some() {
            return Some("its address has a fragment, which clients never send");
        }
        None
    }
}

impl CloudFrontKey {
    /// Reads the private key from PEM, as PKCS#1 or PKCS#8.
    ///
    /// # Errors
    /// [`ConfigError`] where the text holds no RSA private key.
    pub fn from_pem(id: impl Into<String>, pem: impl Into<Secret>) -> Result<Self, ConfigError> {
        let pem = pem.into();
        let key = sign::cloudfront::Key::from_pem(id, pem.expose())?;
        Ok(Self(key))
    }

    /// The key to sign with.
    pub(crate) fn inner(&self) -> &sign::cloudfront::Key {
        &self.0
    }
}

impl fmt::Debug for CloudFrontKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("CloudFrontKey(..)")
    }
}

impl Pattern {
    /// Whether a full key is at or below the prefix.
    pub(crate) fn covers(&self, key: &str) -> bool {
        if self.0.is_empty() {
            return true;
        }
        let mut found = key.split('/');
        self.0
            .split('/')
            .all(|wanted| found.next().is_some_and(|it| wanted == "*" || wanted == it))
    }

    /// Whether some keys below `prefix`, but not all of them, are for this rule.
    pub(crate) fn is_below(&self, prefix: &str) -> bool {
        if self.covers(prefix) {
            return false;
        }
        let mut wanted = self.0.split('/');
        prefix.is_empty()
            || prefix.split('/').all(|it| {
                wanted
                    .next()
                    .is_some_and(|wanted| wanted == "*" || wanted == it)
            })
    }

    fn fault(&self) -> Option<String> {
        if self.0.is_empty() {
            return None;
        }
        let error = Key::new(self.0.as_str()).err()?;
        Some(format!("no key can begin with its prefix: {error}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts(kind: BackendKind) -> BucketFacts<'static> {
        BucketFacts {
            name: "default",
            kind,
            remote_name: "files",
            is_https: true,
            path_style: true,
        }
    }

    fn reason(rule: &Rule, bucket: &BucketFacts<'_>) -> String {
        rule.fault_of_its_own()
            .or_else(|| rule.fault(bucket))
            .unwrap_or_else(|| panic!("{rule} is accepted"))
    }

    #[test]
    fn a_prefix_is_compared_by_whole_segments() {
        let invoices = Pattern("invoices".to_owned());
        assert!(invoices.covers("invoices") && invoices.covers("invoices/2026/7.pdf"));
        assert!(!invoices.covers("invoices-old/7.pdf") && !invoices.covers("a/invoices"));
        let avatars = Pattern("org/*/avatars".to_owned());
        assert!(avatars.covers("org/acme/avatars/1.png"));
        assert!(!avatars.covers("org/avatars/1.png") && !avatars.covers("org/acme"));
        assert!(Pattern(String::new()).covers("anything/at/all"));
    }

    #[test]
    fn a_rule_below_a_prefix_is_noticed() {
        let deep = Pattern("org/*/avatars".to_owned());
        assert!(deep.is_below("org/acme") && deep.is_below("org") && deep.is_below(""));
        assert!(!deep.is_below("org/acme/avatars") && !deep.is_below("org/acme/avatars/x"));
        assert!(!deep.is_below("other"));
    }

    #[test]
    fn an_address_that_no_link_can_have_is_refused() {
        for (url, word) in [
            ("files.example.com", "absolute"),
            ("ftp://files.example.com", "https://"),
            ("https://user:secret@files.example.com", "user information"),
            ("https://files.example.com/?a=b", "query"),
            ("https://files.example.com/#top", "fragment"),
        ] {
            for rule in [Rule::any().endpoint(url), Rule::any().public_base(url)] {
                let said = reason(&rule, &facts(BackendKind::S3));
                assert!(said.contains(word), "{url}: {said}");
                assert!(!said.contains("secret"), "{said}");
            }
        }
    }

    #[test]
    fn a_rule_with_two_addresses_or_a_stray_style_is_refused() {
        let two = Rule::any().endpoint("https://a.example").public();
        assert!(reason(&two, &facts(BackendKind::S3)).contains("more than one"));
        let stray = Rule::any().virtual_host();
        assert!(reason(&stray, &facts(BackendKind::S3)).contains("endpoint"));
        let bad = Rule::prefix("a//b").public();
        assert!(reason(&bad, &facts(BackendKind::S3)).contains("prefix"));
    }

    #[test]
    fn a_rule_hides_a_later_one_only_where_no_link_is_left_for_it() {
        let all = Rule::any().endpoint("https://a.example");
        let deep = Rule::prefix("a/b").endpoint("https://b.example");
        assert!(all.hides(&deep) && !deep.hides(&all));
        let public = Rule::prefix("a").public();
        assert!(!public.hides(&deep), "writes pass a public rule by");
        assert!(deep.hides(&Rule::prefix("a/b/c").public()));
        assert!(!all.clone().bucket("one").hides(&deep));
    }

    #[test]
    fn what_is_shown_of_a_rule_has_no_password() {
        let rule = Rule::prefix("a").endpoint("https://user:hunter2@example.com");
        assert!(!format!("{rule} {rule:?}").contains("hunter2"));
    }
}
