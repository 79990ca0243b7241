// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! Durations as text: whole numbers with units, the larger unit first, such as `90s` or `1m30s`.

/// The longest delay or timeout: 30 days.
const LIMIT_MS: u64 = 30 * 24 * 60 * 60 * 1_000;

/// The units, the larger first.
const UNITS: [(&str, u64); 5] = [
    ("d", 24 * 60 * 60 * 1_000),
    ("h", 60 * 60 * 1_000),
    ("m", 60 * 1_000),
    ("s", 1_000),
    ("ms", 1),
];

/// Why a text is no duration.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum DurationFault {
    Malformed,
    TooLong,
}

/// The longest that an edge may wait: 3,650 days.
const WAIT_LIMIT_MS: u64 = 3_650 * 24 * 60 * 60 * 1_000;

/// The duration of a delay or a timeout, in milliseconds.
pub(crate) fn milliseconds(text: &str) -> Result<u64, DurationFault> {
    within(text, LIMIT_MS)
}

/// The duration that an edge waits, in milliseconds.
pub(crate) fn wait_milliseconds(text: &str) -> Result<u64, DurationFault> {
    within(text, WAIT_LIMIT_MS)
}

fn within(text: &str, limit_ms: u64) -> Result<u64, DurationFault> {
    let mut rest = text;
    let mut total: u64 = 0;
    let mut units = UNITS.as_slice();
    while !rest.is_empty() || total == 0 && units.len() == UNITS.len() {
        let (number, after) = split(rest, |character| character.is_ascii_digit());
        let (unit, after) = split(after, |character| character.is_ascii_alphabetic());
        let position = units.iter().position(|(name, _)| *name == unit);
        let position = position.ok_or(DurationFault::Malformed)?;
        if number.is_empty() {
            return Err(DurationFault::Malformed);
        }
        let number: u64 = number.parse().map_err(|_| DurationFault::TooLong)?;
        let part = number.checked_mul(units[position].1);
        total = part
            .and_then(|part| total.checked_add(part))
            .filter(|total| *total <= limit_ms)
            .ok_or(DurationFault::TooLong)?;
        units = &units[position + 1..];
        rest = after;
    }
    Ok(total)
}

fn split(text: &str, belongs: impl Fn(char) -> bool) -> (&str, &str) {
    let end = text.find(|character| !belongs(character));
    text.split_at(end.unwrap_or(text.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_with_units_add_up() {
        for (text, expected) in [
            ("250ms", 250),
            ("10s", 10_000),
            ("1m30s", 90_000),
            ("2h", 7_200_000),
            ("30d", LIMIT_MS),
            ("0s", 0),
            ("1d2h3m4s5ms", 93_784_005),
        ] {
            assert_eq!(milliseconds(text), Ok(expected), "{text}");
        }
    }

    #[test]
    fn an_edge_may_wait_ten_years() {
        assert_eq!(wait_milliseconds("3650d"), Ok(WAIT_LIMIT_MS));
        assert_eq!(wait_milliseconds("3650d1ms"), Err(DurationFault::TooLong));
    }

    #[test]
    fn other_forms_are_refused() {
        for text in [
            "", "10", "s", "1.5s", "10 s", "-1s", "1w", "1s1m", "1s1s", "1sms", "0s0",
        ] {
            assert_eq!(milliseconds(text), Err(DurationFault::Malformed), "{text}");
        }
        for text in [
            "31d",
            "30d1ms",
            "99999999999999999999s",
            "9999999999999999d",
        ] {
            assert_eq!(milliseconds(text), Err(DurationFault::TooLong), "{text}");
        }
    }
}
