// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! Conditions and ranges of a read, as RFC 9110 has them.
//!
//! Pure: headers and facts in, an answer out. A condition or a range that cannot be read counts as absent,
//! as the RFC wants; dates are read in the one form that is written today.

use std::ops::Range;

use http::header::{
    IF_MATCH, IF_MODIFIED_SINCE, IF_NONE_MATCH, IF_RANGE, IF_UNMODIFIED_SINCE, RANGE,
};
use http::{HeaderMap, HeaderName, Method};

use super::headers::parse_http_date;

/// What conditions are compared with.
#[derive(Clone, Copy, Debug)]
pub(super) struct Facts<'a> {
    /// The version, without quotes.
    pub(super) etag: &'a str,
    /// The last change, in whole seconds since 1970, as `Last-Modified` has it.
    pub(super) modified: i64,
    /// The size in bytes.
    pub(super) bytes: u64,
}

/// What is to be answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Answer {
    /// 200, everything.
    Whole,
    /// 206, these bytes.
    Part(Range<u64>),
    /// 304: the client has it.
    NotModified,
    /// 412.
    ConditionFailed,
    /// 416.
    Unsatisfiable,
}

/// Decides, in the order of RFC 9110, section 13.2.2.
pub(super) fn decide(method: &Method, headers: &HeaderMap, facts: Facts<'_>) -> Answer {
    if headers.contains_key(IF_MATCH) {
        if !names(headers, IF_MATCH, facts.etag, Comparison::Strong) {
            return Answer::ConditionFailed;
        }
    } else if date(headers, IF_UNMODIFIED_SINCE).is_some_and(|since| facts.modified > since) {
        return Answer::ConditionFailed;
    }
    if headers.contains_key(IF_NONE_MATCH) {
        if names(headers, IF_NONE_MATCH, facts.etag, Comparison::Weak) {
            return Answer::NotModified;
        }
    } else if date(headers, IF_MODIFIED_SINCE).is_some_and(|since| facts.modified <= since) {
        return Answer::NotModified;
    }
    if method != Method::GET || !is_range_wanted(headers, facts) {
        return Answer::Whole;
    }
    range(headers, facts.bytes)
}

/// Whether a header of etags names this one, or any by `*`.
pub(super) fn names(
    headers: &HeaderMap,
    header: HeaderName,
    etag: &str,
    comparison: Comparison,
) -> bool {
    headers
        .get_all(header)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .any(|tag| is_tag(tag.trim(), etag, comparison) || tag.trim() == "*")
}

/// How etags are compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Comparison {
    /// Ours are strong, and a weak one is never equal to them.
    Strong,
    /// A weak one of the same text is equal.
    Weak,
}

fn is_tag(tag: &str, etag: &str, comparison: Comparison) -> bool {
    let tag = match comparison {
        Comparison::Strong => tag,
        Comparison::Weak => tag.strip_prefix("W/").unwrap_or(tag),
    };
    tag.strip_prefix('"').and_then(|tag| tag.strip_suffix('"')) == Some(etag)
}

fn date(headers: &HeaderMap, header: HeaderName) -> Option<i64> {
    parse_http_date(headers.get(header)?.to_str().ok()?)
}

/// Whether `If-Range` lets the range be answered: it names this version, or there is none.
fn is_range_wanted(headers: &HeaderMap, facts: Facts<'_>) -> bool {
    let Some(value) = headers.get(IF_RANGE) else {
        return true;
    };
    let Ok(value) = value.to_str().map(str::trim) else {
        return false;
    };
    is_tag(value, facts.etag, Comparison::Strong) || parse_http_date(value) == Some(facts.modified)
}

fn range(headers: &HeaderMap, bytes: u64) -> Answer {
    let mut values = headers.get_all(RANGE).iter();
    let (Some(value), None) = (values.next(), values.next()) else {
        return Answer::Whole;
    };
    let Ok(value) = value.to_str() else {
        return Answer::Whole;
    };
    let Some((unit, spec)) = value.split_once('=') else {
        return Answer::Whole;
    };
    // Several ranges would need a multipart answer; the whole is as good an answer to them.
    if !unit.trim().eq_ignore_ascii_case("bytes") || spec.contains(',') {
        return Answer::Whole;
    }
    let Some((first, last)) = spec.trim().split_once('-') else {
        return Answer::Whole;
    };
    match (number(first), number(last)) {
        (Some(first), Some(last)) if first > last => Answer::Whole,
        (Some(first), _) if first >= bytes && is_end(last) => Answer::Unsatisfiable,
        (Some(first), Some(last)) => Answer::Part(first..last.saturating_add(1).min(bytes)),
        (Some(first), None) if last.is_empty() => Answer::Part(first..bytes),
        (None, Some(0)) if first.is_empty() => Answer::Unsatisfiable,
        // The last bytes of nothing are nothing, which no range can say.
        (None, Some(_)) if first.is_empty() && bytes == 0 => Answer::Whole,
        (None, Some(suffix)) if first.is_empty() => {
            Answer::Part(bytes.saturating_sub(suffix)..bytes)
        }
        _ => Answer::Whole,
    }
}

fn is_end(last: &str) -> bool {
    last.is_empty() || number(last).is_some()
}

/// A number of digits alone. One that is too large is as good as the largest.
fn number(text: &str) -> Option<u64> {
    let is_digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    is_digits.then(|| text.parse().unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 1 January 2026, midnight.
    const MODIFIED: i64 = 1_767_225_600;
    const THEN: &str = "Thu, 01 Jan 2026 00:00:00 GMT";
    const BEFORE: &str = "Wed, 31 Dec 2025 23:59:59 GMT";
    const AFTER: &str = "Thu, 01 Jan 2026 00:00:01 GMT";

    fn answer_of(bytes: u64, given: &[(HeaderName, &str)]) -> Answer {
        let mut headers = HeaderMap::new();
        for (name, value) in given {
            headers.append(name, value.parse().unwrap());
        }
        let facts = Facts {
            etag: "a-1",
            modified: MODIFIED,
            bytes,
        };
        decide(&Method::GET, &headers, facts)
    }

    fn range_of(bytes: u64, value: &str) -> Answer {
        answer_of(bytes, &[(RANGE, value)])
    }

    #[test]
    fn a_single_range_is_cut_to_the_object() {
        assert_eq!(range_of(10, "bytes=0-0"), Answer::Part(0..1));
        assert_eq!(range_of(10, "bytes=2-4"), Answer::Part(2..5));
        assert_eq!(range_of(10, "Bytes=2-400"), Answer::Part(2..10));
        assert_eq!(range_of(10, "bytes=7-"), Answer::Part(7..10));
        assert_eq!(range_of(10, "bytes=-3"), Answer::Part(7..10));
        assert_eq!(range_of(10, "bytes=-30"), Answer::Part(0..10));
        assert_eq!(
            range_of(10, "bytes=0-99999999999999999999999"),
            Answer::Part(0..10)
        );
    }

    #[test]
    fn a_range_outside_cannot_be_satisfied() {
        for value in [
            "bytes=10-",
            "bytes=10-12",
            "bytes=-0",
            "bytes=99999999999999999999999-",
        ] {
            assert_eq!(range_of(10, value), Answer::Unsatisfiable, "{value}");
        }
        assert_eq!(range_of(0, "bytes=0-"), Answer::Unsatisfiable);
        assert_eq!(range_of(0, "bytes=-5"), Answer::Whole);
    }

    #[test]
    fn what_is_no_single_range_gets_the_whole() {
        for value in [
            "bytes=",
            "bytes=-",
            "bytes=a-b",
            "bytes=5-2",
            "bytes=1-2,4-5",
            "bytes=+1-2",
            "lines=1-2",
            "bytes",
            "bytes=1",
            "bytes=1-2-3",
            "bytes=99-x",
            "",
        ] {
            assert_eq!(range_of(10, value), Answer::Whole, "{value}");
        }
    }

    #[test]
    fn etags_decide_before_dates() {
        let of = |given: &[(HeaderName, &str)]| answer_of(10, given);
        assert_eq!(of(&[(IF_MATCH, "\"a-1\"")]), Answer::Whole);
        assert_eq!(of(&[(IF_MATCH, "\"x\", \"a-1\"")]), Answer::Whole);
        assert_eq!(of(&[(IF_MATCH, "*")]), Answer::Whole);
        for wrong in ["\"a-2\"", "W/\"a-1\"", "a-1", ""] {
            assert_eq!(of(&[(IF_MATCH, wrong)]), Answer::ConditionFailed, "{wrong}");
        }
        for known in ["\"a-1\"", "W/\"a-1\"", "*", "\"x\",\"a-1\""] {
            assert_eq!(
                of(&[(IF_NONE_MATCH, known)]),
                Answer::NotModified,
                "{known}"
            );
        }
        // The etag says that it changed, so the date is not asked.
        let changed = [(IF_NONE_MATCH, "\"a-0\""), (IF_MODIFIED_SINCE, AFTER)];
        assert_eq!(of(&changed), Answer::Whole);
        let same = [(IF_MATCH, "\"a-1\""), (IF_UNMODIFIED_SINCE, BEFORE)];
        assert_eq!(of(&same), Answer::Whole);
    }

    #[test]
    fn dates_are_compared_by_the_second() {
        let of = |name: HeaderName, value| answer_of(10, &[(name, value)]);
        assert_eq!(of(IF_MODIFIED_SINCE, THEN), Answer::NotModified);
        assert_eq!(of(IF_MODIFIED_SINCE, AFTER), Answer::NotModified);
        assert_eq!(of(IF_MODIFIED_SINCE, BEFORE), Answer::Whole);
        assert_eq!(of(IF_UNMODIFIED_SINCE, THEN), Answer::Whole);
        assert_eq!(of(IF_UNMODIFIED_SINCE, BEFORE), Answer::ConditionFailed);
        assert_eq!(of(IF_MODIFIED_SINCE, "yesterday"), Answer::Whole);
    }

    #[test]
    fn if_range_asks_for_the_whole_of_another_version() {
        let of = |value| answer_of(10, &[(RANGE, "bytes=1-2"), (IF_RANGE, value)]);
        assert_eq!(of("\"a-1\""), Answer::Part(1..3));
        assert_eq!(of(THEN), Answer::Part(1..3));
        for other in ["\"a-2\"", "W/\"a-1\"", BEFORE, AFTER, "nonsense"] {
            assert_eq!(of(other), Answer::Whole, "{other}");
        }
    }

    #[test]
    fn only_get_has_ranges() {
        let mut headers = HeaderMap::new();
        headers.insert(RANGE, "bytes=1-2".parse().unwrap());
        let facts = Facts {
            etag: "a",
            modified: 0,
            bytes: 10,
        };
        assert_eq!(decide(&Method::HEAD, &headers, facts), Answer::Whole);
    }
}
