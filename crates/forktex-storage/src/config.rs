// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! The configuration: which buckets there are, where clients reach them, and the limits.
//!
//! It is data. It is checked when the storage is opened, all at once and before anything is sent, and it
//! reads no environment variables.

mod azure;
mod credentials;
mod error;
mod folder;
pub(crate) mod gcs;
pub(crate) mod s3;
mod url;

use std::collections::BTreeSet;
use std::time::Duration;

use time::OffsetDateTime;

use crate::clock::Clock;
use crate::public_map::PublicMap;
use crate::storage::Limits;

pub use self::azure::AzureConfig;
pub use self::credentials::{S3Credentials, Secret};
pub use self::error::ConfigError;
pub use self::folder::FolderConfig;
pub use self::gcs::GcsConfig;
pub use self::s3::S3Config;

/// The name of a bucket that was given none.
pub(crate) const DEFAULT_BUCKET: &str = "default";

/// The least bytes of a key that signs.
const SIGNING_KEY_BYTES_MIN: usize = 32;

/// The smallest part of a multipart upload that S3 takes.
const PART_BYTES_MIN: usize = 5 * 1024 * 1024;

/// The largest part that is kept in memory.
const PART_BYTES_MAX: usize = 64 * 1024 * 1024;

/// The most parts that are on their way at once.
const PARALLEL_PARTS_MAX: usize = 16;

/// The most times that a request is repeated.
const RETRY_ATTEMPTS_MAX: u32 = 100;

/// The longest time in which a request is repeated. Beyond it the signature of a request may be too old.
const RETRY_TIME_MAX: Duration = Duration::from_mins(5);

/// The longest time-out.
const TIMEOUT_MAX: Duration = Duration::from_hours(1);

/// The configuration of a [`Storage`](crate::Storage): one or more buckets, and what holds for all.
///
/// # Examples
/// ```
/// use std::time::Duration;
///
/// use forktex_storage::{MemoryConfig, S3Config, Storage, StorageConfig};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), forktex_storage::StorageError> {
/// let bucket = S3Config::minio("http://localhost:9000", "files", "key", "secret");
/// let config = StorageConfig::new(bucket);
///
/// let config = StorageConfig::new(MemoryConfig::new())
///     .bucket("archive", MemoryConfig::new())
///     .part_size(16 * 1024 * 1024)
///     .request_timeout(Duration::from_secs(10));
/// let storage = Storage::open(config).await?;
/// assert_eq!(storage.bucket("archive")?.bucket_name(), "archive");
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct StorageConfig {
    /// The first is the one that a storage begins with.
    pub(crate) buckets: Vec<(String, BucketConfig)>,
    pub(crate) public_map: PublicMap,
    pub(crate) ticket_key: Option<Secret>,
    pub(crate) clock: Clock,
    pub(crate) limits: Limits,
    pub(crate) client: ClientSettings,
}

/// What the HTTP client is built of.
#[derive(Clone, Debug)]
#[cfg_attr(
    not(feature = "http-client"),
    allow(dead_code, reason = "only clouds are spoken to")
)]
pub(crate) struct ClientSettings {
    pub(crate) request_timeout: Duration,
    pub(crate) connect_timeout: Duration,
    pub(crate) retry_attempts_max: u32,
    pub(crate) retry_time_max: Duration,
    pub(crate) root_certificates_pem: Vec<Vec<u8>>,
    pub(crate) offline: bool,
}

impl Default for ClientSettings {
    fn default() -> Self {
        Self {
            request_timeout: Duration::from_secs(30),
            connect_timeout: Duration::from_secs(5),
            retry_attempts_max: 10,
            retry_time_max: Duration::from_mins(1),
            root_certificates_pem: Vec::new(),
            offline: false,
        }
    }
}

impl StorageConfig {
    /// A configuration with one bucket, whose name is `default`.
    pub fn new(bucket: impl Into<BucketConfig>) -> Self {
        Self::named(DEFAULT_BUCKET, bucket)
    }

    /// A configuration with one bucket of this name. It is the one that a storage begins with.
    pub fn named(name: impl Into<String>, bucket: impl Into<BucketConfig>) -> Self {
        Self {
            buckets: vec![(name.into(), bucket.into())],
            public_map: PublicMap::new(),
            ticket_key: None,
            clock: Clock::system(),
            limits: Limits::default(),
            client: ClientSettings::default(),
        }
    }

    /// Reads the URL form, for a configuration of one bucket in one text.
    ///
    /// | URL | Backend |
    /// |---|---|
    /// | `s3://bucket?region=eu-west-1` | S3 of AWS, with the credentials of the machine |
    /// | `s3://KEY:SECRET@bucket?region=eu-west-1` | S3 of AWS, with these credentials |
    /// | `s3://KEY:SECRET@host:9000/bucket?region=..&path_style=true&tls=false` | MinIO and the like |
    /// | `gs://bucket?service_account=/path/to.json` | Google Cloud Storage |
    /// | `az://account/container?key=..` | Azure Blob Storage |
    /// | `folder:///srv/files?base_url=https://files.example.com&key=..` | a folder; both parameters or none |
    /// | `memory://name` | memory, for tests |
    ///
    /// In user, password and parameters, percent-encode what has a meaning in a URL: `/` as `%2F`, `@`
    /// as `%40`, `%` as `%25`, `&` as `%26`. A `+` is a `+`.
    ///
    /// # Errors
    /// [`ConfigError`], which never shows the URL.
    ///
    /// # Examples
    /// ```
    /// use forktex_storage::StorageConfig;
    ///
    /// let url = "s3://minio:hunter2@localhost:9000/files?region=us-east-1&path_style=true&tls=false";
    /// let config = StorageConfig::from_url(url)?;
    /// assert!(!format!("{config:?}").contains("hunter2"));
    /// # Ok::<(), forktex_storage::ConfigError>(())
    /// ```
    pub fn from_url(url: &str) -> Result<Self, ConfigError> {
        url::parse(url)
    }

    /// Adds another bucket. [`Storage::bucket`](crate::Storage::bucket) gives it by its name.
    pub fn bucket(mut self, name: impl Into<String>, bucket: impl Into<BucketConfig>) -> Self {
        self.buckets.push((name.into(), bucket.into()));
        self
    }

    /// Where clients reach which keys. Without it, links go to the bucket's own endpoint.
    pub fn public_map(mut self, public_map: PublicMap) -> Self {
        self.public_map = public_map;
        self
    }

    /// The key under which upload tickets are signed, at least 32 bytes. All processes that make and read
    /// the tickets of a service need the same.
    pub fn ticket_key(mut self, key: impl Into<Secret>) -> Self {
        self.ticket_key = Some(key.into());
        self
    }

    /// The size of the parts of large uploads, in bytes: 5 MiB to 64 MiB; 8 MiB if not said. One upload
    /// keeps up to this size, times one more than [`parallel_parts`](Self::parallel_parts), in memory.
    pub fn part_size(mut self, bytes: usize) -> Self {
        self.limits.part_bytes = bytes;
        self
    }

    /// How many parts of one upload are on their way at once: 1 to 16; 4 if not said.
    pub fn parallel_parts(mut self, parts: usize) -> Self {
        self.limits.parts_parallel = parts;
        self
    }

    /// How long nothing may move: a piece of a request's body that the service does not take, the wait for
    /// its answer, a pause within one. A transfer that is slow is never cut. Up to an hour; 30 s if not said.
    pub fn request_timeout(mut self, timeout: Duration) -> Self {
        self.client.request_timeout = timeout;
        self
    }

    /// How long a connection may take to be made. Up to an hour; 5 s if not said.
    pub fn connect_timeout(mut self, timeout: Duration) -> Self {
        self.client.connect_timeout = timeout;
        self
    }

    /// How often a request is repeated that met a failure of the connection, a 5xx, or throttling: 0 to
    /// 100 times; 10 if not said. The pauses grow from 100 ms to 15 s and are drawn at random, so that
    /// many clients do not come back at once. What is not safe to repeat is not repeated.
    pub fn retry_attempts_max(mut self, attempts: u32) -> Self {
        self.client.retry_attempts_max = attempts;
        self
    }

    /// How long after its first try a request is still repeated. Up to 5 minutes; 60 s if not said.
    pub fn retry_time_max(mut self, time: Duration) -> Self {
        self.client.retry_time_max = time;
        self
    }

    /// Trusts another certificate authority, beside those of Mozilla's list: for a MinIO behind a
    /// private one. `pem` is a text with one or more certificates.
    pub fn root_certificate(mut self, pem: impl Into<Vec<u8>>) -> Self {
        self.client.root_certificates_pem.push(pem.into());
        self
    }

    /// A clock that stands still, for tests that compare signatures byte by byte.
    #[doc(hidden)]
    pub fn clock_frozen_at(mut self, now: OffsetDateTime) -> Self {
        self.clock = Clock::frozen_at(now);
        self
    }

    /// Refuses every connection, for tests that show what makes none.
    #[doc(hidden)]
    pub fn offline(mut self) -> Self {
        self.client.offline = true;
        self
    }

    /// Checks all that can be checked without opening anything.
    pub(crate) fn check(&self) -> Result<(), ConfigError> {
        let mut names = BTreeSet::new();
        for (name, bucket) in &self.buckets {
            if !is_bucket_name(name) {
                return Err(ConfigError::InvalidBucketName { name: name.clone() });
            }
            if !names.insert(name.as_str()) {
                return Err(ConfigError::DuplicateBucket { name: name.clone() });
            }
            bucket.check(name)?;
        }
        if let Some(key) = &self.ticket_key {
            check_signing_key("ticket_key", key)?;
        }
        self.check_limits()
    }

    fn check_limits(&self) -> Result<(), ConfigError> {
        let Self { limits, client, .. } = self;
        let timeouts = Duration::from_millis(1)..=TIMEOUT_MAX;
        let rules = [
            (
                (PART_BYTES_MIN..=PART_BYTES_MAX).contains(&limits.part_bytes),
                "part_size",
                "it goes from 5 MiB to 64 MiB",
            ),
            (
                (1..=PARALLEL_PARTS_MAX).contains(&limits.parts_parallel),
                "parallel_parts",
                "it goes from 1 to 16",
            ),
            (
                timeouts.contains(&client.request_timeout),
                "request_timeout",
                "it goes from 1 ms to an hour",
            ),
            (
                timeouts.contains(&client.connect_timeout),
                "connect_timeout",
                "it goes from 1 ms to an hour",
            ),
            (
                client.retry_attempts_max <= RETRY_ATTEMPTS_MAX,
                "retry_attempts_max",
                "it goes from 0 to 100",
            ),
            (
                client.retry_time_max <= RETRY_TIME_MAX,
                "retry_time_max",
                "it goes up to 5 minutes",
            ),
        ];
        match rules.into_iter().find(|(holds, ..)| !holds) {
            Some((_, option, reason)) => Err(ConfigError::OutOfRange { option, reason }),
            None => Ok(()),
        }
    }
}

/// The configuration of one bucket.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum BucketConfig {
    /// S3 of AWS, MinIO, or another that speaks the same.
    S3(S3Config),
    /// Google Cloud Storage.
    Gcs(GcsConfig),
    /// Azure Blob Storage.
    Azure(AzureConfig),
    /// A folder on this machine.
    Folder(FolderConfig),
    /// Memory of this process.
    Memory(MemoryConfig),
}

impl BucketConfig {
    fn check(&self, name: &str) -> Result<(), ConfigError> {
        match self {
            Self::S3(config) => config.check(name),
            Self::Gcs(config) => config.check(name),
            Self::Azure(config) => config.check(name),
            Self::Folder(config) => config.check(name),
            Self::Memory(_) => Ok(()),
        }
    }
}

/// A bucket in the memory of this process, for tests and examples. It begins empty, and is gone with the
/// storage.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct MemoryConfig {}

impl MemoryConfig {
    /// A bucket in memory.
    pub fn new() -> Self {
        Self::default()
    }
}

macro_rules! from_config {
    ($type:ident, $variant:ident) => {
        impl From<$type> for BucketConfig {
            fn from(config: $type) -> Self {
                Self::$variant(config)
            }
        }
    };
}

from_config!(S3Config, S3);
from_config!(GcsConfig, Gcs);
from_config!(AzureConfig, Azure);
from_config!(FolderConfig, Folder);
from_config!(MemoryConfig, Memory);

/// Whether a bucket may be called so in the configuration, and so stand in a path of a URL.
fn is_bucket_name(name: &str) -> bool {
    has_only(name, 64, b"_-.") && !name.starts_with('.')
}

/// Whether a text has 1 to `bytes_max` letters and digits of ASCII, and these others.
fn has_only(text: &str, bytes_max: usize, others: &[u8]) -> bool {
    (1..=bytes_max).contains(&text.len())
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || others.contains(&byte))
}

/// A key that signs has to hold against guessing.
fn check_signing_key(option: &'static str, key: &Secret) -> Result<(), ConfigError> {
    if key.bytes() < SIGNING_KEY_BYTES_MIN {
        return Err(ConfigError::WeakKey {
            option,
            bytes: key.bytes(),
            bytes_min: SIGNING_KEY_BYTES_MIN,
        });
    }
    Ok(())
}

/// What an endpoint has to be: where requests go to, with nothing that a signature would not cover.
#[derive(Clone, Copy)]
struct EndpointRules {
    /// What is said where http is not allowed.
    http_refusal: &'static str,
    allows_http: bool,
    allows_path: bool,
}

/// Reads the endpoint of a bucket.
fn endpoint(
    bucket: &str,
    option: &'static str,
    text: &str,
    rules: EndpointRules,
) -> Result<::url::Url, ConfigError> {
    let fault = |reason| ConfigError::option(bucket, option, reason);
    let url = ::url::Url::parse(text).map_err(|_| fault("it is no URL; begin with https://"))?;
    match url.scheme() {
        "https" => {}
        "http" if rules.allows_http => {}
        "http" => return Err(fault(rules.http_refusal)),
        _ => return Err(fault("it is no URL of https")),
    }
    if url.host_str().is_none_or(str::is_empty) {
        return Err(fault("it has no host"));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(fault("it has a user; give the credentials apart"));
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err(fault(
            "it has a query or a fragment, which no signature would cover",
        ));
    }
    if !rules.allows_path && url.path() != "/" {
        return Err(fault("it has a path, which no signature would cover"));
    }
    Ok(url)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn memory() -> StorageConfig {
        StorageConfig::new(MemoryConfig::new())
    }

    #[test]
    fn names_of_buckets_are_checked_and_unique() {
        assert!(
            memory()
                .bucket("archive", MemoryConfig::new())
                .check()
                .is_ok()
        );
        let twice = memory().bucket("default", MemoryConfig::new()).check();
        assert!(matches!(twice, Err(ConfigError::DuplicateBucket { .. })));
        for bad in ["", "a/b", "a b", "..", ".a", "\u{e4}"] {
            let error = memory().bucket(bad, MemoryConfig::new()).check();
            assert!(
                matches!(error, Err(ConfigError::InvalidBucketName { .. })),
                "{bad}"
            );
        }
    }

    #[test]
    fn each_limit_has_a_range() {
        let second = Duration::from_secs(1);
        let bad = [
            (memory().part_size(1024), "part_size"),
            (memory().part_size(usize::MAX), "part_size"),
            (memory().parallel_parts(0), "parallel_parts"),
            (memory().request_timeout(Duration::ZERO), "request_timeout"),
            (memory().connect_timeout(second * 7200), "connect_timeout"),
            (memory().retry_attempts_max(101), "retry_attempts_max"),
            (memory().retry_time_max(second * 301), "retry_time_max"),
        ];
        for (config, name) in bad {
            match config.check() {
                Err(ConfigError::OutOfRange { option, .. }) => assert_eq!(option, name),
                other => panic!("{name}: {other:?}"),
            }
        }
    }

    #[test]
    fn a_short_key_signs_nothing() {
        let error = memory().ticket_key("short").check().unwrap_err();
        assert!(matches!(error, ConfigError::WeakKey { bytes: 5, .. }));
        assert!(!error.to_string().contains("short"), "{error}");
        assert!(memory().ticket_key("k".repeat(32)).check().is_ok());
    }
}
