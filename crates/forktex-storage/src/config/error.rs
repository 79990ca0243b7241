// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! What can be wrong with a configuration, told without any value that is secret.

use std::error::Error;
use std::io;
use std::path::PathBuf;

use crate::sign::SignError;

/// A configuration that cannot be used. Nothing was opened.
///
/// It names options, buckets and rules, never a key, a password or a URL that may hold one.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// The URL of a storage cannot be read.
    #[error(
        "cannot read the storage URL: {reason}; it looks like `s3://bucket?region=eu-west-1` or \
         `folder:///srv/files`"
    )]
    InvalidStorageUrl {
        /// What is wrong with it, without its user, password and query.
        reason: &'static str,
    },

    /// The URL begins with a scheme that is none of ours.
    #[error(
        "cannot read the storage URL: the scheme `{scheme}` is unknown; use s3, gs, az, folder or memory"
    )]
    UnknownScheme {
        /// The scheme.
        scheme: String,
    },

    /// The URL has a parameter that its scheme does not know.
    #[error(
        "cannot read the storage URL: `{scheme}` has no parameter `{parameter}`; it has {known}"
    )]
    UnknownParameter {
        /// The scheme.
        scheme: &'static str,
        /// The parameter's name.
        parameter: String,
        /// Those that there are.
        known: &'static str,
    },

    /// A parameter of the URL is needed, or cannot be read.
    #[error("cannot read the storage URL: its parameter `{parameter}` {reason}")]
    InvalidParameter {
        /// The parameter's name.
        parameter: &'static str,
        /// What is wrong with it.
        reason: &'static str,
    },

    /// Two buckets have the same name.
    #[error("cannot use two buckets of the name `{name}`; give each a name of its own")]
    DuplicateBucket {
        /// The name.
        name: String,
    },

    /// A bucket's name in the configuration is not well formed.
    #[error(
        "cannot call a bucket `{name}`: it needs 1 to 64 characters of `A` to `Z`, `a` to `z`, `0` to `9`, \
         `_`, `-` and `.`"
    )]
    InvalidBucketName {
        /// The name.
        name: String,
    },

    /// An option of a bucket cannot be used.
    #[error("cannot use `{option}` of the bucket `{bucket}`: {reason}")]
    InvalidBucketOption {
        /// The bucket, by its name in the configuration.
        bucket: String,
        /// The option.
        option: &'static str,
        /// What is wrong with it.
        reason: &'static str,
    },

    /// An option of the storage is out of its range.
    #[error("cannot use `{option}` as given: {reason}")]
    OutOfRange {
        /// The option.
        option: &'static str,
        /// The range.
        reason: &'static str,
    },

    /// A signing key is too short to hold against guessing.
    #[error(
        "cannot use `{option}`: it has {bytes} bytes, and {bytes_min} are needed; generate one at random"
    )]
    WeakKey {
        /// The option.
        option: &'static str,
        /// How long it is.
        bytes: usize,
        /// How long it has to be.
        bytes_min: usize,
    },

    /// A rule of the public map would make links that do not work.
    #[error("cannot use the rule {rule} of the public map: {reason}")]
    PublicRule {
        /// The rule: its place and its prefix.
        rule: String,
        /// What would break.
        reason: String,
    },

    /// Upload tickets need a key.
    #[error(
        "cannot make or read an upload ticket: there is no key; set `StorageConfig::ticket_key`"
    )]
    NoTicketKey,

    /// A private key or a service account cannot be read.
    #[error("cannot read a signing key of the configuration; see that its text is whole")]
    SigningKey {
        /// What the signer noticed, without any of the key's text.
        source: Box<dyn Error + Send + Sync>,
    },

    /// A file that the configuration names cannot be read.
    #[error("cannot read the {what} of the bucket `{bucket}` from {}", path.display())]
    File {
        /// What is in it.
        what: &'static str,
        /// The bucket.
        bucket: String,
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },

    /// The client of a bucket cannot be built.
    #[error("cannot build the client of the bucket `{bucket}`; see its options")]
    Client {
        /// The bucket.
        bucket: String,
        /// What the client noticed; nothing where its text could hold a secret.
        source: Option<Box<dyn Error + Send + Sync>>,
    },

    /// The HTTP client cannot be built.
    #[error("cannot build the HTTP client: {reason}")]
    HttpClient {
        /// What went wrong.
        reason: &'static str,
        /// What the client noticed.
        source: Option<Box<dyn Error + Send + Sync>>,
    },
}

impl From<SignError> for ConfigError {
    fn from(error: SignError) -> Self {
        Self::SigningKey {
            source: Box::new(error),
        }
    }
}

#[cfg_attr(
    not(any(feature = "aws", feature = "gcp", feature = "azure")),
    allow(dead_code, reason = "only clouds have such options")
)]
impl ConfigError {
    /// An [`InvalidBucketOption`](Self::InvalidBucketOption).
    pub(crate) fn option(bucket: &str, option: &'static str, reason: &'static str) -> Self {
        Self::InvalidBucketOption {
            bucket: bucket.to_owned(),
            option,
            reason,
        }
    }

    /// A [`Client`](Self::Client) whose cause holds no secret.
    pub(crate) fn client(bucket: &str, source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self::Client {
            bucket: bucket.to_owned(),
            source: Some(source.into()),
        }
    }
}
