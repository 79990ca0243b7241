// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! Values from and to their canonical text.
//!
//! One form each: what reads loosely (a CSV file, a change of type) tidies its text before it comes
//! here.

use rust_decimal::Decimal;
use time::{Date, Duration, Month, OffsetDateTime, UtcOffset};
use uuid::Uuid;

/// The most bytes of a decimal number that are looked at.
const DECIMAL_BYTES_MAX: usize = 40;

/// A day as `YYYY-MM-DD`.
pub(crate) fn date_text(date: Date) -> String {
    let (year, month, day) = date.to_calendar_date();
    format!("{year:04}-{:02}-{day:02}", u8::from(month))
}

/// An instant as `YYYY-MM-DDTHH:MM:SS.ffffffZ`: always UTC, always six digits, so that texts sort as
/// instants do. What is finer than a microsecond is cut off.
pub(crate) fn instant_text(instant: OffsetDateTime) -> String {
    // Only an instant hours outside the years that are kept has no UTC; such a one is never stored.
    let instant = instant.checked_to_offset(UtcOffset::UTC).unwrap_or(instant);
    format!(
        "{}T{:02}:{:02}:{:02}.{:06}Z",
        date_text(instant.date()),
        instant.hour(),
        instant.minute(),
        instant.second(),
        instant.microsecond()
    )
}

/// Reads `YYYY-MM-DD`.
pub(crate) fn parse_date(text: &str) -> Option<Date> {
    let [y1, y2, y3, y4, b'-', m1, m2, b'-', d1, d2] = text.as_bytes() else {
        return None;
    };
    let year = number(&[*y1, *y2, *y3, *y4])?;
    let month = u8::try_from(number(&[*m1, *m2])?).ok()?;
    let day = u8::try_from(number(&[*d1, *d2])?).ok()?;
    let year = i32::try_from(year).ok()?;
    Date::from_calendar_date(year, Month::try_from(month).ok()?, day).ok()
}

/// Reads `YYYY-MM-DDTHH:MM:SS`, with or without a fraction of one to six digits, and with `Z` or an
/// offset as `+02:00`. The year is 0 to 9999 also when the offset is taken off.
pub(crate) fn parse_instant(text: &str) -> Option<OffsetDateTime> {
    let date = parse_date(text.get(..10)?)?;
    let rest = text.get(10..)?.as_bytes();
    let [b'T', h1, h2, b':', m1, m2, b':', s1, s2, rest @ ..] = rest else {
        return None;
    };
    let hour = number(&[*h1, *h2]).filter(|hour| *hour < 24)?;
    let minute = number(&[*m1, *m2]).filter(|minute| *minute < 60)?;
    let second = number(&[*s1, *s2]).filter(|second| *second < 60)?;
    let (microseconds, rest) = parse_fraction(rest)?;
    let seconds = hour * 3_600 + minute * 60 + second - parse_offset(rest)?;
    let instant = date
        .midnight()
        .assume_utc()
        .checked_add(Duration::seconds(seconds) + Duration::microseconds(microseconds))?;
    (0..=9999).contains(&instant.year()).then_some(instant)
}

/// Reads a UUID of 36 characters, with dashes.
pub(crate) fn parse_uuid(text: &str) -> Option<Uuid> {
    if text.len() != 36 {
        return None;
    }
    Uuid::try_parse(text).ok()
}

/// Reads a decimal such as `-12.50`: no plus sign, no exponent, no zero in front of another digit, and
/// nothing that would have to be rounded.
pub(crate) fn parse_exact_decimal(text: &str) -> Option<Decimal> {
    if text.len() > DECIMAL_BYTES_MAX || !is_decimal(text) {
        return None;
    }
    Decimal::from_str_exact(text).ok()
}

/// Whether a text is written as decimals are.
pub(crate) fn is_decimal(text: &str) -> bool {
    let digits = text.strip_prefix('-').unwrap_or(text);
    let (whole, fraction) = match digits.split_once('.') {
        Some((whole, fraction)) => (whole, Some(fraction)),
        None => (digits, None),
    };
    let are_digits = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
    are_digits(whole)
        && (whole == "0" || !whole.starts_with('0'))
        && fraction.is_none_or(are_digits)
}

/// The microseconds after a point, if there is one, and what comes after them.
fn parse_fraction(bytes: &[u8]) -> Option<(i64, &[u8])> {
    let [b'.', rest @ ..] = bytes else {
        return Some((0, bytes));
    };
    let length = rest.iter().take_while(|b| b.is_ascii_digit()).count();
    let (digits, rest) = rest.split_at_checked(length)?;
    let missing = 6_usize.checked_sub(length).filter(|_| length > 0)?;
    let scale = 10_i64.pow(u32::try_from(missing).ok()?);
    Some((number(digits)? * scale, rest))
}

/// The seconds that an offset is ahead of UTC.
fn parse_offset(bytes: &[u8]) -> Option<i64> {
    let (sign, h1, h2, m1, m2) = match bytes {
        [b'Z'] => return Some(0),
        [b'+', h1, h2, b':', m1, m2] => (1, *h1, *h2, *m1, *m2),
        [b'-', h1, h2, b':', m1, m2] => (-1, *h1, *h2, *m1, *m2),
        _ => return None,
    };
    let hour = number(&[h1, h2]).filter(|hour| *hour < 24)?;
    let minute = number(&[m1, m2]).filter(|minute| *minute < 60)?;
    Some(sign * (hour * 3_600 + minute * 60))
}

/// The number that a few digits stand for.
fn number(digits: &[u8]) -> Option<i64> {
    digits.iter().try_fold(0, |number, digit| {
        digit
            .is_ascii_digit()
            .then(|| number * 10 + i64::from(digit - b'0'))
    })
}
