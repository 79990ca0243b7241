// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! Conditional requests, answered as S3 does.

use hyper::HeaderMap;
use hyper::header::{ETAG, HeaderName};
use s3s::dto::{ETagCondition, Timestamp};
use s3s::{S3Error, S3Result, s3_error};

use super::state::Entry;

/// The conditions of a read.
#[derive(Default)]
#[allow(clippy::struct_field_names, reason = "named as their headers are")]
pub(super) struct ReadConditions {
    pub(super) if_match: Option<ETagCondition>,
    pub(super) if_none_match: Option<ETagCondition>,
    pub(super) if_modified_since: Option<Timestamp>,
    pub(super) if_unmodified_since: Option<Timestamp>,
}

impl ReadConditions {
    /// Of a `GET` or `HEAD`: 412, or 304 where the client has what it asks for.
    pub(super) fn check(&self, entry: &Entry) -> S3Result<()> {
        if !self.is_wanted_version(entry) {
            return Err(failed());
        }
        if self.is_known_version(entry) {
            return Err(not_modified(entry));
        }
        Ok(())
    }

    /// Of a copy's source, which knows only 412.
    pub(super) fn check_source(&self, entry: &Entry) -> S3Result<()> {
        if !self.is_wanted_version(entry) || self.is_known_version(entry) {
            return Err(failed());
        }
        Ok(())
    }

    /// The date counts only where there is no entity tag.
    fn is_wanted_version(&self, entry: &Entry) -> bool {
        match (&self.if_match, &self.if_unmodified_since) {
            (Some(condition), _) => is_match(condition, entry),
            (None, Some(since)) => Timestamp::from(entry.modified) <= *since,
            (None, None) => true,
        }
    }

    fn is_known_version(&self, entry: &Entry) -> bool {
        match (&self.if_none_match, &self.if_modified_since) {
            (Some(condition), _) => is_match(condition, entry),
            (None, Some(since)) => Timestamp::from(entry.modified) <= *since,
            (None, None) => false,
        }
    }
}

/// The conditions of a write, checked under the lock that makes it visible.
#[derive(Default)]
pub(super) struct WriteConditions {
    pub(super) if_match: Option<ETagCondition>,
    pub(super) if_none_match: Option<ETagCondition>,
}

impl WriteConditions {
    /// Those of a copy; the library reads none from its headers.
    pub(super) fn from_headers(headers: &HeaderMap) -> S3Result<Self> {
        let condition = |name: &HeaderName| -> S3Result<Option<ETagCondition>> {
            let Some(value) = headers.get(name) else {
                return Ok(None);
            };
            match ETagCondition::parse_http_header(value.as_bytes()) {
                Ok(condition) => Ok(Some(condition)),
                Err(error) => Err(s3_error!(error, InvalidArgument)),
            }
        };
        Ok(Self {
            if_match: condition(&hyper::header::IF_MATCH)?,
            if_none_match: condition(&hyper::header::IF_NONE_MATCH)?,
        })
    }

    pub(super) fn check(&self, existing: Option<&Entry>) -> S3Result<()> {
        match &self.if_none_match {
            Some(ETagCondition::Any) if existing.is_some() => return Err(failed()),
            Some(ETagCondition::ETag(_)) => {
                return Err(s3_error!(
                    NotImplemented,
                    "A header you provided implies functionality that is not implemented"
                ));
            }
            _ => {}
        }
        match (&self.if_match, existing) {
            (None, _) => Ok(()),
            (Some(_), None) => Err(s3_error!(NoSuchKey, "The specified key does not exist.")),
            (Some(condition), Some(entry)) if is_match(condition, entry) => Ok(()),
            (Some(_), Some(_)) => Err(failed()),
        }
    }
}

fn is_match(condition: &ETagCondition, entry: &Entry) -> bool {
    match condition {
        ETagCondition::Any => true,
        ETagCondition::ETag(e_tag) => e_tag.value() == entry.e_tag,
    }
}

fn failed() -> S3Error {
    s3_error!(
        PreconditionFailed,
        "At least one of the pre-conditions you specified did not hold"
    )
}

fn not_modified(entry: &Entry) -> S3Error {
    let mut error = s3_error!(NotModified);
    if let Ok(e_tag) = entry.e_tag().to_http_header() {
        error.set_headers(HeaderMap::from_iter([(ETAG, e_tag)]));
    }
    error
}
