// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! Durations as they are given: a [`Duration`], or a text such as `"5m"` or `"1h30m"`.

use std::time::Duration;

/// The longest duration that is taken: 3,650 days.
pub const DURATION_LIMIT: Duration = Duration::from_hours(3_650 * 24);

/// The units, the larger first, in milliseconds.
const UNITS: [(&str, u64); 5] = [
    ("d", 24 * 60 * 60 * 1_000),
    ("h", 60 * 60 * 1_000),
    ("m", 60 * 1_000),
    ("s", 1_000),
    ("ms", 1),
];

/// A duration that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidDuration {
    /// The text is not whole numbers with units, the larger unit first.
    #[error(
        "`{text}` is not a duration; write whole numbers with the units d, h, m, s and ms, such as \
         `90s` or `1h30m`"
    )]
    Malformed {
        /// The text as given.
        text: String,
    },
    /// It is longer than [`DURATION_LIMIT`].
    #[error("the duration is longer than 3,650 days; give a shorter one")]
    TooLong,
    /// It is zero where only a longer one has a meaning.
    #[error("the duration is zero; give a longer one")]
    Zero,
}

/// What a duration may be given as: a [`Duration`], or a text of whole numbers with the units `d`, `h`,
/// `m`, `s` and `ms`, the larger first. At most [`DURATION_LIMIT`].
///
/// # Examples
/// ```
/// use std::time::Duration;
/// use forktex_queue::IntoDuration;
///
/// assert_eq!("1h30m".into_duration(), Ok(Duration::from_secs(5_400)));
/// assert_eq!(Duration::from_secs(5).into_duration(), Ok(Duration::from_secs(5)));
/// assert!("5 minutes".into_duration().is_err());
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a duration",
    note = "give a `std::time::Duration`, or a text such as \"5m\""
)]
pub trait IntoDuration: sealed::Sealed {
    /// The duration.
    ///
    /// # Errors
    /// [`InvalidDuration`] with what is wrong.
    fn into_duration(self) -> Result<Duration, InvalidDuration>;
}

mod sealed {
    use std::time::Duration;

    pub trait Sealed {}

    impl Sealed for Duration {}
    impl Sealed for &str {}
    impl Sealed for String {}
    impl Sealed for &String {}
}

impl IntoDuration for Duration {
    fn into_duration(self) -> Result<Duration, InvalidDuration> {
        if self > DURATION_LIMIT {
            return Err(InvalidDuration::TooLong);
        }
        Ok(self)
    }
}

impl IntoDuration for &str {
    fn into_duration(self) -> Result<Duration, InvalidDuration> {
        parse(self)
    }
}

impl IntoDuration for String {
    fn into_duration(self) -> Result<Duration, InvalidDuration> {
        parse(&self)
    }
}

impl IntoDuration for &String {
    fn into_duration(self) -> Result<Duration, InvalidDuration> {
        parse(self)
    }
}

/// The duration, which must not be zero.
pub(crate) fn positive(duration: impl IntoDuration) -> Result<Duration, InvalidDuration> {
    let duration = duration.into_duration()?;
    if duration.is_zero() {
        return Err(InvalidDuration::Zero);
    }
    Ok(duration)
}

/// The attributes parse by the same rules at compile time: `macros/src/model/duration.rs`.
fn parse(text: &str) -> Result<Duration, InvalidDuration> {
    let malformed = || InvalidDuration::Malformed {
        text: text.to_owned(),
    };
    let mut rest = text;
    let mut total: u64 = 0;
    let mut units = UNITS.as_slice();
    while !rest.is_empty() || units.len() == UNITS.len() {
        let (number, after) = split(rest, |character| character.is_ascii_digit());
        let (unit, after) = split(after, |character| character.is_ascii_alphabetic());
        let position = units.iter().position(|(name, _)| *name == unit);
        let (position, factor) = position
            .and_then(|position| Some((position, units.get(position)?.1)))
            .ok_or_else(malformed)?;
        if number.is_empty() {
            return Err(malformed());
        }
        let number: u64 = number.parse().map_err(|_| InvalidDuration::TooLong)?;
        total = number
            .checked_mul(factor)
            .and_then(|part| total.checked_add(part))
            .ok_or(InvalidDuration::TooLong)?;
        units = units.get(position + 1..).unwrap_or_default();
        rest = after;
    }
    Duration::from_millis(total).into_duration()
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
        for (text, milliseconds) in [
            ("250ms", 250),
            ("10s", 10_000),
            ("1m30s", 90_000),
            ("0s", 0),
            ("1d2h3m4s5ms", 93_784_005),
            ("3650d", 315_360_000_000),
        ] {
            let expected = Duration::from_millis(milliseconds);
            assert_eq!(text.into_duration(), Ok(expected), "{text}");
        }
    }

    #[test]
    fn other_forms_are_refused() {
        for text in ["", "10", "s", "1.5s", "10 s", "-1s", "1w", "1s1m", "1s1s"] {
            let refused = text.into_duration();
            assert!(
                matches!(refused, Err(InvalidDuration::Malformed { .. })),
                "{text}: {refused:?}"
            );
        }
        for text in ["3651d", "99999999999999999999s", "9999999999999999d"] {
            assert_eq!(
                text.into_duration(),
                Err(InvalidDuration::TooLong),
                "{text}"
            );
        }
        assert_eq!(positive("0s"), Err(InvalidDuration::Zero));
    }
}
