// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! Patterns that take exactly the numerals, days and instants between two bounds.
//!
//! JSON Schema compares numbers only, and decimals, days and instants are texts here. The patterns
//! keep to what every dialect has: groups, classes of digits, counts and anchors.

/// Whether a value is to be at or above a bound, or at or below it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Bound {
    AtLeast,
    AtMost,
}

/// A fraction of any length, or none.
const ANY_FRACTION: &str = "(\\.[0-9]+)?";

/// Takes the decimals, in the form that registers take, that keep to a bound.
pub(super) fn decimal(bound: Bound, limit: &str) -> String {
    let (is_negative, digits) = match limit.strip_prefix('-') {
        Some(digits) => (true, digits),
        None => (false, limit),
    };
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let fraction = fraction.trim_end_matches('0');
    let is_zero = whole == "0" && fraction.is_empty();
    let any = format!("(0|[1-9][0-9]*){ANY_FRACTION}");
    let body = match (bound, is_zero, is_negative) {
        (Bound::AtLeast, true, _) => format!("{any}|-0(\\.0+)?"),
        (Bound::AtMost, true, _) => format!("-{any}|0(\\.0+)?"),
        (Bound::AtLeast, false, false) => magnitude(Bound::AtLeast, whole, fraction),
        (Bound::AtMost, false, false) => {
            format!("-{any}|{}", magnitude(Bound::AtMost, whole, fraction))
        }
        (Bound::AtLeast, false, true) => {
            format!("{any}|-({})", magnitude(Bound::AtMost, whole, fraction))
        }
        (Bound::AtMost, false, true) => {
            format!("-({})", magnitude(Bound::AtLeast, whole, fraction))
        }
    };
    format!("^({body})$")
}

/// Takes texts of one shape, such as days, that keep to a bound. After the part that is compared digit
/// by digit may come a fraction, and then an end that is the same for all.
pub(super) fn fixed(bound: Bound, limit: &str, fraction: Option<&str>, end: &str) -> String {
    let tail = if fraction.is_some() { ANY_FRACTION } else { "" };
    let mut alternatives = different(bound, limit, '0', tail);
    let limit = escaped(limit);
    alternatives.push(match fraction {
        Some(fraction) => {
            let fraction = fraction.trim_end_matches('0');
            format!("{limit}{}", fraction_within(bound, fraction))
        }
        None => limit,
    });
    format!("^({}){end}$", alternatives.join("|"))
}

/// The numerals without a sign that keep to a bound.
fn magnitude(bound: Bound, whole: &str, fraction: &str) -> String {
    let length = whole.len();
    let lowest = if length > 1 { '1' } else { '0' };
    let mut alternatives = different(bound, whole, lowest, ANY_FRACTION);
    match bound {
        Bound::AtLeast => alternatives.push(format!("[1-9][0-9]{{{length},}}{ANY_FRACTION}")),
        Bound::AtMost if length > 1 => {
            let more = length - 2;
            alternatives.push(format!("(0|[1-9][0-9]{{0,{more}}}){ANY_FRACTION}"));
        }
        Bound::AtMost => {}
    }
    alternatives.push(format!("{whole}{}", fraction_within(bound, fraction)));
    alternatives.join("|")
}

/// The texts of the same shape as `limit` that part from it at some digit, in the direction of the
/// bound. `lowest` is the smallest first digit.
fn different(bound: Bound, limit: &str, lowest: char, tail: &str) -> Vec<String> {
    let mut alternatives = Vec::new();
    for (index, digit) in limit.char_indices() {
        let lowest = if index == 0 { lowest } else { '0' };
        let Some(class) = beyond(bound, digit, lowest) else {
            continue;
        };
        let (before, after) = limit.split_at(index);
        let after: String = after.chars().skip(1).map(shape).collect();
        alternatives.push(format!("{}{class}{after}{tail}", escaped(before)));
    }
    alternatives
}

/// The fractions, or none, that keep to the bound, where the digits before are the same.
fn fraction_within(bound: Bound, fraction: &str) -> String {
    let mut alternatives = Vec::new();
    for (index, digit) in fraction.char_indices() {
        let (before, _) = fraction.split_at(index);
        if let Some(class) = beyond(bound, digit, '0') {
            alternatives.push(format!("{before}{class}[0-9]*"));
        }
        if bound == Bound::AtMost && index > 0 {
            // A shorter one is smaller.
            alternatives.push(before.to_owned());
        }
    }
    match bound {
        Bound::AtLeast if fraction.is_empty() => ANY_FRACTION.to_owned(),
        Bound::AtLeast => {
            alternatives.push(format!("{fraction}[0-9]*"));
            format!("\\.({})", alternatives.join("|"))
        }
        Bound::AtMost => {
            let zeros = if fraction.is_empty() { "0+" } else { "0*" };
            alternatives.push(format!("{fraction}{zeros}"));
            format!("(\\.({}))?", alternatives.join("|"))
        }
    }
}

/// The class of the digits beyond this one, if there are any.
fn beyond(bound: Bound, digit: char, lowest: char) -> Option<String> {
    let number = digit.to_digit(10)?;
    let (from, to) = match bound {
        Bound::AtLeast => (number + 1, 9),
        Bound::AtMost => (lowest.to_digit(10)?, number.checked_sub(1)?),
    };
    (from <= to).then(|| format!("[{from}-{to}]"))
}

/// What takes any digit where there is a digit, and the same character elsewhere.
fn shape(character: char) -> String {
    if character.is_ascii_digit() {
        "[0-9]".to_owned()
    } else {
        escaped(&character.to_string())
    }
}

/// A text that stands for itself. Only digits, dashes, colons and the T come here.
fn escaped(text: &str) -> String {
    text.replace('.', "\\.")
}

#[cfg(test)]
mod tests {
    use regex::Regex;
    use rust_decimal::Decimal;

    use super::*;

    const NUMERALS: [&str; 24] = [
        "0",
        "-0",
        "0.0",
        "-0.00",
        "0.1",
        "-0.1",
        "0.05",
        "1",
        "-1",
        "1.0",
        "9",
        "10",
        "10.5",
        "10.49",
        "10.500",
        "10.51",
        "-10.5",
        "-10.50",
        "-10.51",
        "-10.4",
        "99",
        "100",
        "-100",
        "1234.5678",
    ];

    #[test]
    fn decimals_are_compared_as_numbers() {
        for limit in NUMERALS {
            let number: Decimal = limit.parse().unwrap();
            let text = number.to_string();
            let least = Regex::new(&decimal(Bound::AtLeast, &text)).unwrap();
            let most = Regex::new(&decimal(Bound::AtMost, &text)).unwrap();
            for candidate in NUMERALS {
                let value: Decimal = candidate.parse().unwrap();
                assert_eq!(
                    least.is_match(candidate),
                    value >= number,
                    "{candidate} >= {limit}"
                );
                assert_eq!(
                    most.is_match(candidate),
                    value <= number,
                    "{candidate} <= {limit}"
                );
            }
        }
    }

    #[test]
    fn days_are_compared_as_texts_of_one_shape() {
        let days = [
            "0000-01-01",
            "1999-12-31",
            "2026-01-31",
            "2026-02-01",
            "2026-11-09",
            "9999-12-31",
        ];
        for limit in days {
            let least = Regex::new(&fixed(Bound::AtLeast, limit, None, "")).unwrap();
            let most = Regex::new(&fixed(Bound::AtMost, limit, None, "")).unwrap();
            for day in days {
                assert_eq!(least.is_match(day), day >= limit, "{day} >= {limit}");
                assert_eq!(most.is_match(day), day <= limit, "{day} <= {limit}");
            }
        }
    }

    #[test]
    fn instants_are_compared_with_their_fractions() {
        let limit = "2026-01-31T10:00:00";
        let least = Regex::new(&fixed(Bound::AtLeast, limit, Some("250000"), "Z")).unwrap();
        let most = Regex::new(&fixed(Bound::AtMost, limit, Some("250000"), "Z")).unwrap();
        for (text, is_at_least, is_at_most) in [
            ("2026-01-31T10:00:00Z", false, true),
            ("2026-01-31T10:00:00.2Z", false, true),
            ("2026-01-31T10:00:00.25Z", true, true),
            ("2026-01-31T10:00:00.250000Z", true, true),
            ("2026-01-31T10:00:00.250001Z", true, false),
            ("2026-01-31T09:59:59.999Z", false, true),
            ("2026-01-31T10:00:01Z", true, false),
        ] {
            assert_eq!(least.is_match(text), is_at_least, "{text}");
            assert_eq!(most.is_match(text), is_at_most, "{text}");
        }
    }
}
