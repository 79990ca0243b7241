// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! What a failure of `object_store` comes down to. Where its types are private their texts are read; tests
//! hold those against the real ones. What is not known for sure is left undecided.

use std::error::Error;

use crate::folder::FolderError;

/// How the text of a refused request begins, down in the chain of causes. The type is private to
/// `object_store`, so that its text is all that can be read; a test holds this against the real thing.
const STATUS_TEXT: &str = "Server returned non-2xx status code: ";

/// How the text of a failure begins that a service reported under a status of success.
const REPORTED_TEXT: &str = "Server returned error response: ";

/// The most causes that are looked through: chains are short, and none may be endless.
const CAUSES_MAX: usize = 16;

/// What a chain of causes comes down to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    Unavailable,
    InvalidRange,
    Unknown,
}

/// Looks through the chain for the first cause that decides.
pub(super) fn verdict(error: &(dyn Error + Send + Sync + 'static)) -> Verdict {
    let first: &(dyn Error + 'static) = error;
    std::iter::successors(Some(first), |error: &&(dyn Error + 'static)| {
        (*error).source()
    })
    .take(CAUSES_MAX)
    .map(verdict_of)
    .find(|verdict| *verdict != Verdict::Unknown)
    .unwrap_or(Verdict::Unknown)
}

/// What one cause says by itself.
fn verdict_of(error: &(dyn Error + 'static)) -> Verdict {
    match error.downcast_ref::<FolderError>() {
        Some(FolderError::InvalidRange { .. }) => return Verdict::InvalidRange,
        Some(FolderError::Contended { .. }) => return Verdict::Unavailable,
        Some(_) => return Verdict::Unknown,
        None => {}
    }
    #[cfg(feature = "http-client")]
    if let Some(transport) = error.downcast_ref::<object_store::client::HttpError>() {
        use object_store::client::HttpErrorKind;
        return match transport.kind() {
            HttpErrorKind::Connect
            | HttpErrorKind::Request
            | HttpErrorKind::Timeout
            | HttpErrorKind::Interrupted => Verdict::Unavailable,
            _ => Verdict::Unknown,
        };
    }
    let text = error.to_string();
    if let Some(rest) = text.strip_prefix(STATUS_TEXT) {
        let status = rest.get(..3).and_then(|digits| digits.parse().ok());
        return status.map_or(Verdict::Unknown, status_verdict);
    }
    if text.starts_with(REPORTED_TEXT) {
        return Verdict::Unavailable;
    }
    if is_range_fault(&text) {
        return Verdict::InvalidRange;
    }
    Verdict::Unknown
}

/// What an HTTP status says by itself.
pub(super) fn status_verdict(status: u16) -> Verdict {
    match status {
        408 | 429 | 500..=599 => Verdict::Unavailable,
        416 => Verdict::InvalidRange,
        _ => Verdict::Unknown,
    }
}

/// Whether `object_store` refused a range before or after it asked; that type is private too.
fn is_range_fault(text: &str) -> bool {
    text.starts_with("Wanted range starting at ")
        || (text.starts_with("Range started at ") && text.contains(" and ended at "))
}
