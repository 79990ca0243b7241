// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! Durations as they are written: `Duration::from_secs(300)` or `"5m"`.

use std::time::Duration;

/// No duration of this crate is longer: ten years of 365 days.
pub(crate) const DURATION_MAX: Duration = Duration::from_hours(10 * 365 * 24);

/// The units in which a text counts, the longest first, with their milliseconds.
const UNITS: [(&str, u64); 5] = [
    ("d", 86_400_000),
    ("h", 3_600_000),
    ("m", 60_000),
    ("s", 1_000),
    ("ms", 1),
];

/// A text or a number that is no duration of this crate.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("cannot use `{text}` as a duration: {reason}; write it as `250ms`, `5m` or `1h30m`")]
#[non_exhaustive]
pub struct InvalidDuration {
    /// What was given.
    pub text: String,
    /// What is wrong with it.
    pub reason: &'static str,
}

/// What can be given where a time is asked for: a [`Duration`], or a text such as `"5m"`.
///
/// A text is one or more whole numbers with their units, the longest unit first: `d`, `h`, `m`, `s`,
/// `ms`. The time must be more than zero and at most ten years; Redis counts milliseconds, so that less
/// than one counts as one.
///
/// # Examples
/// ```
/// use std::time::Duration;
/// use forktex_cache::IntoDuration;
///
/// assert_eq!("1h30m".into_duration(), Ok(Duration::from_secs(5_400)));
/// assert_eq!(Duration::from_secs(5).into_duration(), Ok(Duration::from_secs(5)));
/// assert!("5 minutes".into_duration().is_err());
/// assert!(Duration::ZERO.into_duration().is_err());
/// ```
pub trait IntoDuration: sealed::Sealed {
    /// The time.
    ///
    /// # Errors
    /// [`InvalidDuration`] with what is wrong.
    fn into_duration(self) -> Result<Duration, InvalidDuration>;
}

impl IntoDuration for Duration {
    fn into_duration(self) -> Result<Duration, InvalidDuration> {
        within_limits(self, || format!("{self:?}"))
    }
}

impl IntoDuration for &str {
    fn into_duration(self) -> Result<Duration, InvalidDuration> {
        let fault = |reason| InvalidDuration {
            text: self.to_owned(),
            reason,
        };
        within_limits(parse(self).map_err(fault)?, || self.to_owned())
    }
}

impl IntoDuration for String {
    fn into_duration(self) -> Result<Duration, InvalidDuration> {
        self.as_str().into_duration()
    }
}

impl IntoDuration for &String {
    fn into_duration(self) -> Result<Duration, InvalidDuration> {
        self.as_str().into_duration()
    }
}

mod sealed {
    use std::time::Duration;

    pub trait Sealed {}
    impl Sealed for Duration {}
    impl Sealed for &str {}
    impl Sealed for String {}
    impl Sealed for &String {}
}

/// Whole milliseconds as Redis counts them; a fraction counts as a whole one.
pub(crate) fn milliseconds(duration: Duration) -> i64 {
    i64::try_from(duration.as_nanos().div_ceil(1_000_000)).unwrap_or(i64::MAX)
}

fn within_limits(
    duration: Duration,
    text: impl FnOnce() -> String,
) -> Result<Duration, InvalidDuration> {
    let reason = if duration.is_zero() {
        "it must be more than zero"
    } else if duration > DURATION_MAX {
        "it must be at most ten years"
    } else {
        return Ok(duration);
    };
    Err(InvalidDuration {
        text: text(),
        reason,
    })
}

fn parse(text: &str) -> Result<Duration, &'static str> {
    const TOO_LONG: &str = "it must be at most ten years";
    if text.is_empty() {
        return Err("it is empty");
    }
    let mut rest = text;
    let mut units = UNITS.iter();
    let mut total: u64 = 0;
    while !rest.is_empty() {
        let digits_end = rest
            .find(|character: char| !character.is_ascii_digit())
            .ok_or("its number has no unit")?;
        let (digits, after) = rest.split_at(digits_end);
        if digits.is_empty() {
            return Err("each unit needs a whole number before it");
        }
        let unit_end = after
            .find(|character: char| character.is_ascii_digit())
            .unwrap_or(after.len());
        let (unit, after) = after.split_at(unit_end);
        if !UNITS.iter().any(|(name, _)| *name == unit) {
            return Err("the units are d, h, m, s and ms");
        }
        // What was passed over cannot come again, so the order holds by itself.
        let (_, milliseconds) = units
            .find(|(name, _)| *name == unit)
            .ok_or("each unit stands once, the longest first")?;
        let number: u64 = digits.parse().map_err(|_| TOO_LONG)?;
        total = number
            .checked_mul(*milliseconds)
            .and_then(|part| total.checked_add(part))
            .ok_or(TOO_LONG)?;
        rest = after;
    }
    Ok(Duration::from_millis(total))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_read_by_their_units() {
        for (text, milliseconds) in [
            ("250ms", 250),
            ("5s", 5_000),
            ("5m", 300_000),
            ("1h30m", 5_400_000),
            ("2d", 172_800_000),
            ("1d2h3m4s5ms", 93_784_005),
        ] {
            assert_eq!(
                text.into_duration(),
                Ok(Duration::from_millis(milliseconds)),
                "{text}"
            );
        }
    }

    #[test]
    fn what_is_no_duration_is_refused_with_its_reason() {
        for (text, reason) in [
            ("", "empty"),
            ("5", "no unit"),
            ("m", "whole number"),
            ("1.5h", "units are"),
            ("5 m", "units are"),
            ("-5m", "whole number"),
            ("5w", "units are"),
            ("30m1h", "longest first"),
            ("1m1m", "longest first"),
            ("0s", "more than zero"),
            ("4000d", "ten years"),
            ("99999999999999999999d", "ten years"),
        ] {
            let error = text.into_duration().unwrap_err();
            assert!(error.reason.contains(reason), "{text}: {error}");
        }
        assert!(Duration::ZERO.into_duration().is_err());
        assert!(Duration::MAX.into_duration().is_err());
    }

    #[test]
    fn a_fraction_of_a_millisecond_is_not_taken_for_none() {
        assert_eq!(milliseconds(Duration::from_nanos(1)), 1);
        assert_eq!(milliseconds(Duration::from_micros(1500)), 2);
        assert_eq!(milliseconds(Duration::MAX), i64::MAX);
    }
}
