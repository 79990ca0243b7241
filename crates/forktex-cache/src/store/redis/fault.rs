// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! What the driver's errors mean to a caller.

use std::time::Duration;

use fred::error::{Error, ErrorKind};

use crate::error::CacheError;

/// Answers of a server that does not serve now, and will again.
const NOT_NOW: [&str; 8] = [
    "BUSY",
    "CLUSTERDOWN",
    "LOADING",
    "MASTERDOWN",
    "MISCONF",
    "NOREPLICAS",
    "READONLY",
    "TRYAGAIN",
];

/// Sorts an error of the driver by what the caller can do.
pub(super) fn sort(error: Error, action: &'static str, key: &str, limit: Duration) -> CacheError {
    if *error.kind() == ErrorKind::Timeout {
        return CacheError::Timeout { action, limit };
    }
    // Before version 7 a script's error begins with another word.
    if error.details().contains("WRONGTYPE") || error.details().contains("is not an integer") {
        return CacheError::WrongType {
            key: key.to_owned(),
        };
    }
    match server_code(&error) {
        Some(code) if !NOT_NOW.contains(&code) => CacheError::Rejected {
            action,
            code: code.to_owned(),
        },
        _ => CacheError::Unavailable {
            action,
            source: Some(error.into()),
        },
    }
}

/// The first word of the server's answer, if it is the server's: those are in capitals.
fn server_code(error: &Error) -> Option<&str> {
    let from_server = matches!(
        error.kind(),
        ErrorKind::Auth
            | ErrorKind::Cluster
            | ErrorKind::InvalidArgument
            | ErrorKind::InvalidCommand
            | ErrorKind::Unknown
    );
    let code = error.details().split_whitespace().next()?;
    let is_code = code.len() > 2 && code.bytes().all(|byte| byte.is_ascii_uppercase());
    (from_server && is_code).then_some(code)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sorted(kind: ErrorKind, details: &'static str) -> CacheError {
        sort(
            Error::new(kind, details),
            "read a value",
            "user:1",
            Duration::from_secs(1),
        )
    }

    #[test]
    fn what_will_pass_is_an_outage_and_what_will_not_is_none() {
        for (kind, details) in [
            (ErrorKind::IO, "Os { code: 111 }"),
            (ErrorKind::Canceled, "Connection closed unexpectedly."),
            (ErrorKind::Cluster, "CLUSTERDOWN The cluster is down"),
            (
                ErrorKind::Unknown,
                "LOADING Redis is loading the dataset in memory",
            ),
            (
                ErrorKind::Unknown,
                "READONLY You can't write against a read only replica.",
            ),
            (ErrorKind::Unknown, "Failed to route command."),
            (ErrorKind::Routing, "Too many redirections."),
            (ErrorKind::Timeout, "Request timed out."),
        ] {
            let error = sorted(kind, details);
            assert!(error.is_outage(), "{details}: {error:?}");
            assert!(!error.to_string().contains(details), "{error}");
        }
        for (kind, details, code) in [
            (ErrorKind::Auth, "NOAUTH Authentication required.", "NOAUTH"),
            (
                ErrorKind::Unknown,
                "OOM command not allowed when used memory > 'maxmemory'.",
                "OOM",
            ),
            (
                ErrorKind::Unknown,
                "NOSCRIPT No matching script.",
                "NOSCRIPT",
            ),
            (ErrorKind::Unknown, "ERR unknown command", "ERR"),
        ] {
            match sorted(kind, details) {
                CacheError::Rejected { code: found, .. } => assert_eq!(found, code),
                other => panic!("{details}: {other:?}"),
            }
        }
    }

    #[test]
    fn a_value_of_another_kind_is_told() {
        for details in [
            "WRONGTYPE Operation against a key holding the wrong kind of value",
            "ERR Error running script: WRONGTYPE Operation against a key",
            "ERR value is not an integer or out of range",
        ] {
            let error = sorted(ErrorKind::InvalidArgument, details);
            assert!(
                matches!(&error, CacheError::WrongType { key } if key == "user:1"),
                "{error:?}"
            );
        }
    }
}
