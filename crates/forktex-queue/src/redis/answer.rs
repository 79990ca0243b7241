// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! Reads what the scripts answer, and what the driver says when they do not.

use std::sync::Arc;

use forktex_cache::fred::error::{Error, ErrorKind};
use forktex_cache::fred::types::Value;
use time::OffsetDateTime;
use uuid::Uuid;

use super::BACKEND;
use crate::error::{Cause, QueueError};
use crate::identifier::JobId;

/// A number.
pub(super) fn number(value: &Value) -> Option<i64> {
    value.as_i64()
}

/// A number that counts.
pub(super) fn count(value: Option<&Value>) -> u64 {
    let number = value.and_then(number).unwrap_or_default();
    u64::try_from(number).unwrap_or_default()
}

/// The sixteen bytes of an id.
pub(super) fn id(value: &Value) -> Option<JobId> {
    Uuid::from_slice(value.as_bytes()?).ok().map(JobId)
}

/// An instant in milliseconds since 1970.
pub(super) fn instant(milliseconds: i64) -> Option<OffsetDateTime> {
    OffsetDateTime::from_unix_timestamp_nanos(i128::from(milliseconds) * 1_000_000).ok()
}

/// An answer that no script of ours gives.
pub(super) fn unexpected(action: &'static str) -> QueueError {
    corrupt(action, "an answer")
}

/// Something stored that cannot be read.
pub(super) fn corrupt(action: &'static str, what: impl Into<String>) -> QueueError {
    QueueError::Corrupt {
        backend: BACKEND,
        action,
        what: what.into(),
    }
}

/// Sorts what the driver says into what the caller can do.
pub(super) fn fault(action: &'static str, error: Error) -> QueueError {
    let backend = BACKEND;
    let (kind, code) = (error.kind().clone(), code(&error));
    let source: Option<Cause> = Some(Arc::new(error));
    match (kind, code) {
        (ErrorKind::Timeout, _) => QueueError::Timeout {
            backend,
            action,
            source,
        },
        // A refusal that passes is no refusal.
        (_, Some(code)) if !passes(&code) => QueueError::Rejected {
            backend,
            action,
            code,
            source,
        },
        _ => QueueError::Unavailable {
            backend,
            action,
            source,
        },
    }
}

/// The first word of what the server said, or `None` where it is the driver that speaks.
fn code(error: &Error) -> Option<String> {
    let word = error.details().split_whitespace().next()?;
    let is_code = word.len() > 2 && word.bytes().all(|byte| byte.is_ascii_uppercase());
    is_code.then(|| word.to_owned())
}

fn passes(code: &str) -> bool {
    const PASSING: [&str; 10] = [
        "ASK",
        "BUSY",
        "CLUSTERDOWN",
        "LOADING",
        "MASTERDOWN",
        "MISCONF",
        "MOVED",
        "NOREPLICAS",
        "READONLY",
        "TRYAGAIN",
    ];
    PASSING.contains(&code)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(kind: ErrorKind, text: &'static str) -> QueueError {
        fault("claim jobs", Error::new(kind, text))
    }

    #[test]
    fn a_server_that_is_away_is_told_from_one_that_refuses() {
        let away = said(ErrorKind::IO, "Connection refused (os error 111)");
        assert!(away.is_transient(), "{away:?}");
        let away = said(
            ErrorKind::Unknown,
            "LOADING Redis is loading the dataset in memory",
        );
        assert!(away.is_transient(), "{away:?}");
        let late = said(ErrorKind::Timeout, "Request timed out.");
        assert!(matches!(late, QueueError::Timeout { .. }), "{late:?}");
        let full = said(ErrorKind::Unknown, "OOM command not allowed");
        assert!(
            matches!(&full, QueueError::Rejected { code, .. } if code == "OOM"),
            "{full:?}"
        );
        assert_eq!(
            full.to_string(),
            "cannot claim jobs: refused on Redis with OOM"
        );
    }
}
