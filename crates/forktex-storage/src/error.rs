// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! What can go wrong with a bucket.
//!
//! Each class of failure is a variant, so that nobody has to read a text or an HTTP status. An error
//! names the bucket and the key; it never holds a secret key, a signature or the query of a signed URL.
//! What the service said is in `source()` alone.

mod verdict;

use std::borrow::Cow;
use std::error::Error;
use std::fmt;
use std::io;
use std::path::PathBuf;

use crate::backend::BackendKind;
use crate::checksum::Sha256Digest;
use crate::config::ConfigError;
use crate::key::KeyError;

use self::verdict::{Verdict, status_verdict, verdict};

/// The cause of a failure, as the layer below told it.
type Cause = Box<dyn Error + Send + Sync>;

/// A failed operation on a bucket.
///
/// [`is_transient`](Self::is_transient) tells what may well succeed when it is tried again from what the
/// same call will meet again. Requests were already repeated before such an error is given, within
/// [`StorageConfig::retry_attempts_max`](crate::StorageConfig::retry_attempts_max) and
/// [`StorageConfig::retry_time_max`](crate::StorageConfig::retry_time_max).
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StorageError {
    /// There is no such object.
    #[error("there is no object `{key}` in bucket `{bucket}`")]
    NotFound {
        /// The bucket, by its name in the configuration.
        bucket: String,
        /// The key.
        key: String,
    },

    /// The object was to be absent, and exists; nothing was written.
    #[error("cannot write `{key}` to bucket `{bucket}`: it exists already")]
    AlreadyExists {
        /// The bucket.
        bucket: String,
        /// The key.
        key: String,
    },

    /// The object is not the one that the condition names; nothing was done.
    #[error("cannot use `{key}` in bucket `{bucket}`: it was changed since its ETag was read")]
    PreconditionFailed {
        /// The bucket.
        bucket: String,
        /// The key.
        key: String,
    },

    /// The object is still the one that the caller has.
    #[error("`{key}` in bucket `{bucket}` was not modified")]
    NotModified {
        /// The bucket.
        bucket: String,
        /// The key.
        key: String,
    },

    /// The credentials do not allow it, or a path leads out of the folder.
    #[error(
        "cannot {operation} `{key}` in bucket `{bucket}`: it is denied; see what the credentials allow"
    )]
    Denied {
        /// What was tried.
        operation: &'static str,
        /// The bucket.
        bucket: String,
        /// The key, or the prefix of a list.
        key: String,
        /// What the service said.
        source: Cause,
    },

    /// More bytes than are allowed; nothing was written.
    #[error("`{key}` in bucket `{bucket}` has more than the {bytes_max} bytes that are allowed")]
    TooLarge {
        /// The bucket.
        bucket: String,
        /// The key.
        key: String,
        /// The limit.
        bytes_max: u64,
    },

    /// The range begins behind the end of the object, or ends before it begins.
    #[error(
        "cannot read `{key}` in bucket `{bucket}`: it does not have the range that was asked for"
    )]
    InvalidRange {
        /// The bucket.
        bucket: String,
        /// The key.
        key: String,
    },

    /// The bytes are not those that the checksum was made of. On the way up nothing became visible.
    #[error(
        "the bytes of `{key}` in bucket `{bucket}` have the SHA-256 {found}, and {expected} was expected"
    )]
    ChecksumMismatch {
        /// The bucket.
        bucket: String,
        /// The key.
        key: String,
        /// What was given or stored.
        expected: Sha256Digest,
        /// What the bytes have.
        found: Sha256Digest,
    },

    /// The service cannot be reached, does not answer in time, fails inside, or wants fewer requests. A
    /// write may have been done all the same.
    #[error(
        "cannot {operation} `{key}` in bucket `{bucket}`: the service is not available; try again later"
    )]
    Unavailable {
        /// What was tried.
        operation: &'static str,
        /// The bucket.
        bucket: String,
        /// The key, or the prefix of a list.
        key: String,
        /// What was noticed.
        source: Cause,
    },

    /// The backend cannot do this, or not as asked. Nothing was done: a constraint is never dropped.
    #[error("{backend} cannot do this: {what}; {remedy}")]
    Unsupported {
        /// The backend.
        backend: BackendKind,
        /// What it cannot do.
        what: String,
        /// What to do instead.
        remedy: String,
    },

    /// An option or an argument is out of its range, or does not fit the others.
    #[error("cannot use `{option}` as given: {reason}")]
    InvalidOption {
        /// The option.
        option: &'static str,
        /// What is wrong with it.
        reason: Cow<'static, str>,
    },

    /// A key is not well formed.
    #[error(transparent)]
    Key(#[from] KeyError),

    /// The configuration is wrong.
    #[error(transparent)]
    Config(#[from] ConfigError),

    /// The configuration has no bucket of this name.
    #[error("there is no bucket `{name}` in the configuration; it has {}", known.join(", "))]
    NoSuchBucket {
        /// The name.
        name: String,
        /// The names that there are.
        known: Vec<String>,
    },

    /// A file on this machine cannot be read or written.
    #[error("cannot {operation} {}", path.display())]
    Io {
        /// What was tried.
        operation: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },

    /// Anything else that the backend said.
    #[error("cannot {operation} `{key}` in bucket `{bucket}`")]
    Other {
        /// What was tried.
        operation: &'static str,
        /// The bucket.
        bucket: String,
        /// The key, or the prefix of a list.
        key: String,
        /// What the backend said.
        source: Cause,
    },
}

/// The class of a [`StorageError`], for a table of statuses or a label of a metric.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum StorageErrorKind {
    /// There is no such object.
    NotFound,
    /// It exists already.
    AlreadyExists,
    /// It was changed.
    PreconditionFailed,
    /// It was not modified.
    NotModified,
    /// It is not allowed.
    Denied,
    /// It is too large.
    TooLarge,
    /// The range does not fit.
    InvalidRange,
    /// The bytes are not the expected ones.
    ChecksumMismatch,
    /// The service is not available.
    Unavailable,
    /// The backend cannot do it.
    Unsupported,
    /// An argument, a key or the configuration is wrong.
    InvalidInput,
    /// A file on this machine failed.
    Io,
    /// Anything else.
    Other,
}

impl StorageErrorKind {
    /// The name, in lower case with underscores.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::NotFound => "not_found",
            Self::AlreadyExists => "already_exists",
            Self::PreconditionFailed => "precondition_failed",
            Self::NotModified => "not_modified",
            Self::Denied => "denied",
            Self::TooLarge => "too_large",
            Self::InvalidRange => "invalid_range",
            Self::ChecksumMismatch => "checksum_mismatch",
            Self::Unavailable => "unavailable",
            Self::Unsupported => "unsupported",
            Self::InvalidInput => "invalid_input",
            Self::Io => "io",
            Self::Other => "other",
        }
    }
}

impl fmt::Display for StorageErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl StorageError {
    /// The class of the failure.
    pub fn kind(&self) -> StorageErrorKind {
        match self {
            Self::NotFound { .. } => StorageErrorKind::NotFound,
            Self::AlreadyExists { .. } => StorageErrorKind::AlreadyExists,
            Self::PreconditionFailed { .. } => StorageErrorKind::PreconditionFailed,
            Self::NotModified { .. } => StorageErrorKind::NotModified,
            Self::Denied { .. } => StorageErrorKind::Denied,
            Self::TooLarge { .. } => StorageErrorKind::TooLarge,
            Self::InvalidRange { .. } => StorageErrorKind::InvalidRange,
            Self::ChecksumMismatch { .. } => StorageErrorKind::ChecksumMismatch,
            Self::Unavailable { .. } => StorageErrorKind::Unavailable,
            Self::Unsupported { .. } => StorageErrorKind::Unsupported,
            Self::InvalidOption { .. }
            | Self::Key(_)
            | Self::Config(_)
            | Self::NoSuchBucket { .. } => StorageErrorKind::InvalidInput,
            Self::Io { .. } => StorageErrorKind::Io,
            Self::Other { .. } => StorageErrorKind::Other,
        }
    }

    /// Whether the same call may well succeed later: [`Unavailable`](Self::Unavailable).
    pub fn is_transient(&self) -> bool {
        self.kind() == StorageErrorKind::Unavailable
    }

    /// Whether there is no such object.
    pub fn is_not_found(&self) -> bool {
        self.kind() == StorageErrorKind::NotFound
    }

    /// An [`InvalidOption`](Self::InvalidOption).
    pub(crate) fn option(option: &'static str, reason: impl Into<Cow<'static, str>>) -> Self {
        Self::InvalidOption {
            option,
            reason: reason.into(),
        }
    }

    /// An [`Unsupported`](Self::Unsupported).
    pub(crate) fn unsupported(
        backend: BackendKind,
        what: impl Into<String>,
        remedy: impl Into<String>,
    ) -> Self {
        Self::Unsupported {
            backend,
            what: what.into(),
            remedy: remedy.into(),
        }
    }

    /// What `object_store` said of an operation. `operation` is a verb that fits between "cannot" and
    /// the key: `read`, `write`, `list`.
    pub(crate) fn from_store(
        operation: &'static str,
        bucket: &str,
        key: &str,
        error: object_store::Error,
    ) -> Self {
        use object_store::Error as Store;

        let (bucket, key) = (bucket.to_owned(), key.to_owned());
        match error {
            Store::NotFound { .. } => Self::NotFound { bucket, key },
            Store::AlreadyExists { .. } => Self::AlreadyExists { bucket, key },
            Store::Precondition { .. } => Self::PreconditionFailed { bucket, key },
            Store::NotModified { .. } => Self::NotModified { bucket, key },
            Store::PermissionDenied { source, .. } | Store::Unauthenticated { source, .. } => {
                Self::Denied {
                    operation,
                    bucket,
                    key,
                    source,
                }
            }
            // Our own folder has more to say than `object_store` has words for.
            Store::Generic { source, .. } if source.is::<Self>() => {
                match source.downcast::<Self>() {
                    Ok(own) => *own,
                    Err(source) => Self::Other {
                        operation,
                        bucket,
                        key,
                        source,
                    },
                }
            }
            other => Self::classified(operation, bucket, key, Box::new(other)),
        }
    }

    /// What the service's answer, or the lack of one, says.
    fn classified(operation: &'static str, bucket: String, key: String, source: Cause) -> Self {
        match verdict(source.as_ref()) {
            Verdict::Unavailable => Self::Unavailable {
                operation,
                bucket,
                key,
                source,
            },
            Verdict::InvalidRange => Self::InvalidRange { bucket, key },
            Verdict::Unknown => Self::Other {
                operation,
                bucket,
                key,
                source,
            },
        }
    }

    /// What a status says that is no success, of a request that this crate sent by itself.
    #[cfg_attr(
        not(any(feature = "aws", feature = "gcp")),
        allow(dead_code, reason = "no other service is asked without `object_store`")
    )]
    pub(crate) fn from_status(
        operation: &'static str,
        bucket: &str,
        key: &str,
        status: u16,
        source: Cause,
    ) -> Self {
        let (bucket, key) = (bucket.to_owned(), key.to_owned());
        match status {
            401 | 403 => Self::Denied {
                operation,
                bucket,
                key,
                source,
            },
            404 => Self::NotFound { bucket, key },
            412 => Self::PreconditionFailed { bucket, key },
            _ if status_verdict(status) == Verdict::Unavailable => Self::Unavailable {
                operation,
                bucket,
                key,
                source,
            },
            _ => Self::Other {
                operation,
                bucket,
                key,
                source,
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use object_store::memory::InMemory;
    use object_store::path::Path;
    use object_store::{GetOptions, GetRange, ObjectStore, PutMode, PutOptions};

    use super::*;

    #[tokio::test]
    async fn what_memory_says_is_told_apart() {
        let store = InMemory::new();
        let path = Path::from("a");
        let map = |error| StorageError::from_store("read", "default", "a", error).kind();

        let missing = store.get_opts(&path, GetOptions::default()).await;
        assert_eq!(map(missing.unwrap_err()), StorageErrorKind::NotFound);

        store
            .put_opts(&path, "text".into(), PutOptions::default())
            .await
            .unwrap();
        let create = PutOptions::from(PutMode::Create);
        let twice = store.put_opts(&path, "text".into(), create).await;
        assert_eq!(map(twice.unwrap_err()), StorageErrorKind::AlreadyExists);

        let options = GetOptions {
            if_match: Some("other".to_owned()),
            ..GetOptions::default()
        };
        let changed = store.get_opts(&path, options).await;
        assert_eq!(
            map(changed.unwrap_err()),
            StorageErrorKind::PreconditionFailed
        );

        #[allow(clippy::reversed_empty_ranges, reason = "the fault that is tested")]
        let ranges = [GetRange::Bounded(9..12), GetRange::Bounded(3..1)];
        for range in ranges {
            let options = GetOptions {
                range: Some(range.clone()),
                ..GetOptions::default()
            };
            let outside = store.get_opts(&path, options).await;
            let kind = map(outside.unwrap_err());
            assert_eq!(kind, StorageErrorKind::InvalidRange, "{range:?}");
        }
    }

    #[test]
    fn an_error_of_our_own_comes_through_unchanged() {
        let own = StorageError::TooLarge {
            bucket: "default".to_owned(),
            key: "a".to_owned(),
            bytes_max: 3,
        };
        let wrapped = object_store::Error::Generic {
            store: "folder",
            source: Box::new(own),
        };
        let error = StorageError::from_store("write", "default", "a", wrapped);
        assert!(
            matches!(error, StorageError::TooLarge { bytes_max: 3, .. }),
            "{error:?}"
        );
    }

    #[test]
    fn only_what_is_unavailable_is_worth_another_try() {
        let statuses = [
            (500, true),
            (503, true),
            (429, true),
            (400, false),
            (409, false),
        ];
        for (status, transient) in statuses {
            let error = StorageError::from_status("list", "default", "", status, "said".into());
            assert_eq!(error.is_transient(), transient, "{status}");
        }
        let denied = StorageError::from_status("list", "default", "", 403, "said".into());
        assert_eq!(denied.kind(), StorageErrorKind::Denied);
    }

    #[test]
    fn the_cause_is_in_the_source_alone() {
        let error = StorageError::from_status("list", "default", "a/", 500, "the answer".into());
        assert!(!error.to_string().contains("the answer"), "{error}");
        assert_eq!(error.source().unwrap().to_string(), "the answer");
    }
}
