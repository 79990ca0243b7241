// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! The trace that a job belongs to, carried from whoever enqueues it to whoever does it.

use tokio::task_local;

task_local! {
    /// The `traceparent` of the job whose body runs in this task.
    static CURRENT: Option<String>;
}

/// Runs a body such that what it enqueues belongs to the same trace.
pub(crate) async fn with_current<T>(
    trace_parent: Option<String>,
    body: impl Future<Output = T>,
) -> T {
    CURRENT.scope(trace_parent, body).await
}

/// The `traceparent` of the job whose body runs here.
pub(crate) fn current() -> Option<String> {
    CURRENT.try_with(Clone::clone).ok().flatten()
}

/// Whether the text is a W3C `traceparent`, such as
/// `00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01`.
pub(crate) fn is_trace_parent(text: &str) -> bool {
    let is_hex = |part: &str, length: usize| {
        part.len() == length
            && part
                .bytes()
                .all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
    };
    let mut parts = text.split('-');
    let version = parts
        .next()
        .is_some_and(|part| is_hex(part, 2) && part != "ff");
    let some = |part: &str| part.bytes().any(|byte| byte != b'0');
    let trace = parts
        .next()
        .is_some_and(|part| is_hex(part, 32) && some(part));
    let span = parts
        .next()
        .is_some_and(|part| is_hex(part, 16) && some(part));
    let flags = parts.next().is_some_and(|part| is_hex(part, 2));
    version && trace && span && flags && parts.next().is_none()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trace_parent_has_four_parts_and_no_zero_identifier() {
        let good = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
        assert!(is_trace_parent(good));
        for bad in [
            "",
            "00",
            "ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            "00-00000000000000000000000000000000-b7ad6b7169203331-01",
            "00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01",
            "00-0AF7651916CD43DD8448EB211C80319C-b7ad6b7169203331-01",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-x",
        ] {
            assert!(!is_trace_parent(bad), "{bad}");
        }
    }

    #[tokio::test]
    async fn a_body_sees_the_trace_of_its_job() {
        assert_eq!(current(), None);
        let seen = with_current(Some("t".to_owned()), async { current() }).await;
        assert_eq!(seen.as_deref(), Some("t"));
    }
}
