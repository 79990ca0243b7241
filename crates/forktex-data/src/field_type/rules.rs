// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! Rules for the values of one type: lengths, bounds, digits.
//!
//! They are data: whether they contradict each other is checked with the definition.

use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};
use time::{Date, OffsetDateTime};

use super::Pattern;

/// Rules for a text.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct TextRules {
    /// The fewest characters.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub length_min: Option<usize>,
    /// The most characters: by default 10,000, and 512 where the field is indexed or unique.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub length_max: Option<usize>,
    /// What some part of the text must match.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pattern: Option<Pattern>,
}

/// Rules for a whole number.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct IntegerRules {
    /// The smallest number.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub minimum: Option<i64>,
    /// The greatest number.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub maximum: Option<i64>,
}

/// Rules for a decimal number. As JSON the bounds are strings, so that they stay exact.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct DecimalRules {
    /// The smallest number.
    #[serde(skip_serializing_if = "Option::is_none", with = "as_decimal")]
    pub minimum: Option<Decimal>,
    /// The greatest number.
    #[serde(skip_serializing_if = "Option::is_none", with = "as_decimal")]
    pub maximum: Option<Decimal>,
    /// How many digits stand after the point, at most 27. With it, numbers are kept and shown with
    /// exactly that many, and a number that needs more is refused rather than rounded.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scale: Option<u32>,
}

/// Rules for a day. As JSON the bounds are `2026-01-31`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct DateRules {
    /// The first day.
    #[serde(skip_serializing_if = "Option::is_none", with = "as_date")]
    pub minimum: Option<Date>,
    /// The last day.
    #[serde(skip_serializing_if = "Option::is_none", with = "as_date")]
    pub maximum: Option<Date>,
}

/// Rules for an instant. As JSON the bounds are `2026-01-31T13:45:00Z`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct DatetimeRules {
    /// The first instant.
    #[serde(skip_serializing_if = "Option::is_none", with = "as_instant")]
    pub minimum: Option<OffsetDateTime>,
    /// The last instant.
    #[serde(skip_serializing_if = "Option::is_none", with = "as_instant")]
    pub maximum: Option<OffsetDateTime>,
}

/// Makes a module that serde can write a bound with: as its one canonical text.
macro_rules! bound_as_text {
    ($module:ident, $type:ty, $write:expr, $read:path, $expected:literal) => {
        mod $module {
            use serde::de::Error as _;
            use serde::{Deserialize, Deserializer, Serialize, Serializer};

            #[allow(clippy::ref_option, reason = "the form that serde asks for")]
            pub(super) fn serialize<S: Serializer>(
                bound: &Option<$type>,
                serializer: S,
            ) -> Result<S::Ok, S::Error> {
                bound.map($write).serialize(serializer)
            }

            pub(super) fn deserialize<'de, D: Deserializer<'de>>(
                deserializer: D,
            ) -> Result<Option<$type>, D::Error> {
                let Some(text) = Option::<String>::deserialize(deserializer)? else {
                    return Ok(None);
                };
                let bound = $read(&text);
                bound.map(Some).ok_or_else(|| D::Error::custom($expected))
            }
        }
    };
}

bound_as_text!(
    as_decimal,
    rust_decimal::Decimal,
    |bound| bound.to_string(),
    crate::value::parse_exact_decimal,
    "a bound must be a decimal number as a string, such as \"12.50\""
);
bound_as_text!(
    as_date,
    time::Date,
    crate::value::date_text,
    crate::value::parse_date,
    "a bound must be a date such as \"2026-01-31\""
);
bound_as_text!(
    as_instant,
    time::OffsetDateTime,
    crate::value::instant_text,
    crate::value::parse_instant,
    "a bound must be an instant such as \"2026-01-31T13:45:00Z\""
);
