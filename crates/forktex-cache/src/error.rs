// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! What can go wrong with the cache.
//!
//! An error names keys, never values: what serde says of a value that does not fit may quote it, so
//! only its kind and place are kept ([`JsonError`]). The driver's text is in `source()` alone.

use std::borrow::Cow;
use std::error::Error;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::duration::InvalidDuration;

/// A failed operation of the cache.
///
/// [`is_outage`](Self::is_outage) tells Redis that cannot be used now from everything else, which the
/// same call will meet again. An outage is never answered as if the key were absent.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CacheError {
    /// The URL of Redis is wrong.
    #[error("cannot read the Redis URL: {reason}")]
    InvalidUrl {
        /// What is wrong with it, without the password.
        reason: Cow<'static, str>,
    },

    /// An option or an argument is out of its range.
    #[error("cannot use `{option}` as given: {reason}")]
    InvalidOption {
        /// The option.
        option: &'static str,
        /// What is wrong with it.
        reason: Cow<'static, str>,
    },

    /// No key could be made.
    #[error(transparent)]
    Key(#[from] KeyError),

    /// A duration could not be read.
    #[error(transparent)]
    Duration(#[from] InvalidDuration),

    /// A value is larger than may be stored; nothing was written.
    #[error(
        "cannot store `{key}`: its value has {bytes} bytes, and {max} are allowed; store less, or raise \
         `value_bytes_max`"
    )]
    TooLarge {
        /// The key.
        key: String,
        /// The size of the value.
        bytes: usize,
        /// The limit: [`CacheOptions::value_bytes_max`](crate::CacheOptions::value_bytes_max).
        max: usize,
    },

    /// A value cannot be written as JSON; nothing was written.
    #[error("cannot store `{key}`: its value cannot be written as JSON")]
    Encode {
        /// The key.
        key: String,
        /// Of which kind the fault is.
        source: JsonError,
    },

    /// A stored value does not fit the type that it was asked for as.
    #[error(
        "cannot read `{key}` as `{type_name}`: another type was stored; give the namespace a new version \
         when its type changes"
    )]
    Decode {
        /// The key.
        key: String,
        /// The Rust type asked for.
        type_name: &'static str,
        /// Of which kind the fault is, and where in the text.
        source: JsonError,
    },

    /// The key holds something that this operation cannot work on: a list, or a text that is no number.
    #[error("cannot use `{key}`: it holds a value of another kind; delete it, or use another key")]
    WrongType {
        /// The key.
        key: String,
    },

    /// An empty prefix would delete everything.
    #[error("cannot delete by an empty prefix: it would take every key; name a namespace")]
    EmptyPrefix,

    /// A pattern begins with a wildcard, and so could take every key.
    #[error("cannot delete by `{pattern}`: it must begin with literal text, such as `user:*`")]
    TooBroad {
        /// The pattern.
        pattern: String,
    },

    /// Redis cannot be reached, or does not serve now.
    #[error("cannot {action}: Redis is not available; see that it runs and can be reached")]
    Unavailable {
        /// What was tried.
        action: &'static str,
        /// What the driver noticed.
        source: Option<DriverError>,
    },

    /// Redis did not answer in time. A write may have been done all the same.
    #[error("cannot {action}: Redis did not answer within {limit:?}")]
    Timeout {
        /// What was tried.
        action: &'static str,
        /// The limit: [`CacheOptions::command_timeout`](crate::CacheOptions::command_timeout).
        limit: Duration,
    },

    /// Redis failed several times in a row, so this call was not tried.
    #[error(
        "cannot {action}: Redis failed several times in a row; it is tried again in {retry_in:?}"
    )]
    CircuitOpen {
        /// What was to be tried.
        action: &'static str,
        /// When the next call goes through.
        retry_in: Duration,
    },

    /// The cache was closed.
    #[error("the cache is closed: `Cache::close` was called")]
    Closed,

    /// Redis refused the command.
    #[error("cannot {action}: Redis refuses it ({code})")]
    Rejected {
        /// What was tried.
        action: &'static str,
        /// The first word of the server's answer, such as `OOM`, `NOAUTH`, `NOPERM` or `ERR`.
        code: String,
    },
}

impl CacheError {
    /// Whether Redis cannot be used now, so that the same call may well succeed later:
    /// [`Unavailable`](Self::Unavailable), [`Timeout`](Self::Timeout) or
    /// [`CircuitOpen`](Self::CircuitOpen).
    pub fn is_outage(&self) -> bool {
        matches!(
            self,
            Self::Unavailable { .. } | Self::Timeout { .. } | Self::CircuitOpen { .. }
        )
    }

    /// An [`InvalidOption`](Self::InvalidOption).
    pub(crate) fn option(option: &'static str, reason: impl Into<Cow<'static, str>>) -> Self {
        Self::InvalidOption {
            option,
            reason: reason.into(),
        }
    }

    /// An [`Encode`](Self::Encode).
    pub(crate) fn encode(key: &str, error: &serde_json::Error) -> Self {
        Self::Encode {
            key: key.to_owned(),
            source: error.into(),
        }
    }

    /// A [`Decode`](Self::Decode) into `T`.
    pub(crate) fn decode<T>(key: &str, error: &serde_json::Error) -> Self {
        Self::Decode {
            key: key.to_owned(),
            type_name: std::any::type_name::<T>(),
            source: error.into(),
        }
    }
}

/// A key could not be made of its namespace and parts.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum KeyError {
    /// The namespace's name is not well formed.
    #[error("cannot make a key in namespace `{name}`: {reason}")]
    Namespace {
        /// The name.
        name: String,
        /// What is wrong with it.
        reason: &'static str,
    },

    /// A part is an empty text, which would make keys that look alike.
    #[error("cannot make a key in namespace `{namespace}`: part {index} is empty; give it a value")]
    #[non_exhaustive]
    Empty {
        /// The namespace.
        namespace: String,
        /// Which part, counted from 0.
        index: usize,
    },

    /// A part is absent: an `Option` that is `None`.
    #[error(
        "cannot make a key in namespace `{namespace}`: part {index} is missing; give it a value"
    )]
    #[non_exhaustive]
    Missing {
        /// The namespace.
        namespace: String,
        /// Which part, counted from 0.
        index: usize,
    },

    /// A part is too long.
    #[error(
        "cannot make a key in namespace `{namespace}`: part {index} has {bytes} bytes, and {max} are \
         allowed; use an id or a hash of it"
    )]
    #[non_exhaustive]
    PartTooLong {
        /// The namespace.
        namespace: String,
        /// Which part, counted from 0.
        index: usize,
        /// Its size as it stands in the key, escaped.
        bytes: usize,
        /// The limit.
        max: usize,
    },

    /// The whole key is too long.
    #[error(
        "cannot make a key in namespace `{namespace}`: it would have {bytes} bytes, and {max} are \
         allowed; use fewer or shorter parts"
    )]
    #[non_exhaustive]
    TooLong {
        /// The namespace.
        namespace: String,
        /// Its size.
        bytes: usize,
        /// The limit.
        max: usize,
    },

    /// A tag is empty or too long.
    #[error("cannot use a tag: {reason}")]
    #[non_exhaustive]
    Tag {
        /// What is wrong with it.
        reason: &'static str,
    },
}

/// A value and a JSON text that do not fit, told without the value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JsonError {
    kind: &'static str,
    line: usize,
    column: usize,
}

impl From<&serde_json::Error> for JsonError {
    fn from(error: &serde_json::Error) -> Self {
        use serde_json::error::Category;
        Self {
            kind: match error.classify() {
                Category::Io => "the text cannot be written",
                Category::Syntax => "the text is no JSON",
                Category::Data => "the JSON has another shape",
                Category::Eof => "the text ends too early",
            },
            line: error.line(),
            column: error.column(),
        }
    }
}

impl fmt::Display for JsonError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { kind, line, column } = self;
        match line {
            // Where there is no text yet.
            0 => f.write_str(kind),
            _ => write!(f, "{kind}, at line {line}, column {column}"),
        }
    }
}

impl Error for JsonError {}

/// What the driver noticed.
#[derive(Clone)]
pub struct DriverError(Arc<fred::error::Error>);

impl From<fred::error::Error> for DriverError {
    fn from(error: fred::error::Error) -> Self {
        Self(Arc::new(error))
    }
}

impl fmt::Debug for DriverError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

impl fmt::Display for DriverError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

impl Error for DriverError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_shows_no_piece_of_a_value() {
        let fault = serde_json::from_str::<u32>("\"hunter2\"").unwrap_err();
        assert!(fault.to_string().contains("hunter2"));
        let error = CacheError::decode::<u32>("user:1", &fault);
        let cause = error.source().unwrap();
        let shown = format!("{error} {error:?} {error:#?} {cause} {cause:?}");
        assert!(!shown.contains("hunter2"), "{shown}");
        assert!(shown.contains("user:1") && shown.contains("u32"), "{shown}");
        assert_eq!(
            cause.to_string(),
            "the JSON has another shape, at line 1, column 9"
        );
    }

    #[test]
    fn only_an_outage_is_worth_another_try() {
        let action = "read a value";
        let outages = [
            CacheError::Unavailable {
                action,
                source: None,
            },
            CacheError::Timeout {
                action,
                limit: Duration::from_millis(500),
            },
            CacheError::CircuitOpen {
                action,
                retry_in: Duration::from_secs(1),
            },
        ];
        assert!(outages.iter().all(CacheError::is_outage));
        let others = [
            CacheError::Closed,
            CacheError::EmptyPrefix,
            CacheError::Rejected {
                action,
                code: "OOM".to_owned(),
            },
        ];
        assert!(!others.iter().any(CacheError::is_outage));
    }
}
