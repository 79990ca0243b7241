// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! Schemas of single values.
//!
//! `format` says to readers what a text is, and `pattern` holds it to it: most validators take any text
//! for any format.

use rust_decimal::Decimal;
use serde_json::{Value as Json, json};

use super::numeral::{self, Bound};
use crate::custom_type::TypeRegistry;
use crate::field::FieldDefinition;
use crate::field_type::{
    DateRules, DatetimeRules, DecimalRules, FieldType, IntegerRules, TextRules,
};
use crate::limits::REFERENCES_MAX;
use crate::value::{ValueKind, date_text, instant_text};

/// No NUL, which the database does not store.
pub(crate) const NO_NUL: &str = "^[^\\u0000]*$";

/// The digits that a decimal may have in all, as it is written.
const DECIMAL_DIGITS: usize = 28;

/// A decimal, however many digits it has.
const NUMERAL: &str = "^-?(0|[1-9][0-9]*)(\\.[0-9]+)?$";

const UUID: &str = "^[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}$";

/// A day of the calendar, leap years as they are.
const DAY: &str = "([0-9]{4}-((0[13578]|1[02])-(0[1-9]|[12][0-9]|3[01])|(0[469]|11)-(0[1-9]|[12][0-9]|30)\
     |02-(0[1-9]|1[0-9]|2[0-8]))|([0-9]{2}(0[48]|[2468][048]|[13579][26])\
     |([02468][048]|[13579][26])00)-02-29)";

const TIME: &str = "T([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](\\.[0-9]{1,6})?";

const OFFSET: &str = "[+-]([01][0-9]|2[0-3]):[0-5][0-9]";

/// The schema of a value that is given to a field; null is not among it.
pub(super) fn to_be_written(
    definition: &FieldDefinition,
    kind: ValueKind,
    types: &TypeRegistry,
    json_reference: &str,
) -> Json {
    match &definition.field_type {
        FieldType::Text(rules) => text(rules, definition.text_length_max()),
        FieldType::Integer(rules) => integer(rules),
        FieldType::Decimal(rules) => decimal(rules),
        FieldType::Boolean => json!({ "type": "boolean" }),
        FieldType::Date(rules) => date(rules),
        FieldType::Datetime(rules) => datetime(rules),
        FieldType::Uuid => uuid(),
        FieldType::Enum(options) => {
            json!({ "type": "string", "enum": options.keys().collect::<Vec<_>>() })
        }
        FieldType::Json { .. } => json!({ "$ref": json_reference }),
        FieldType::Custom {
            custom_type,
            options,
        } => match types
            .get(custom_type)
            .map(|found| found.json_schema(options))
        {
            Some(schema @ (Json::Object(_) | Json::Bool(_))) => schema,
            _ => of_kind(kind),
        },
        _ => of_kind(kind),
    }
}

/// The schema of a value that was read.
pub(super) fn of_kind(kind: ValueKind) -> Json {
    match kind {
        ValueKind::Text => json!({ "type": "string" }),
        ValueKind::Integer => integer(&IntegerRules::default()),
        ValueKind::Decimal => json!({ "type": "string", "format": "decimal" }),
        ValueKind::Boolean => json!({ "type": "boolean" }),
        ValueKind::Date => json!({ "type": "string", "format": "date" }),
        ValueKind::Datetime => json!({ "type": "string", "format": "date-time" }),
        ValueKind::Uuid => json!({ "type": "string", "format": "uuid" }),
        ValueKind::Json => json!({}),
    }
}

/// The schema of what a filter compares values of this kind with.
pub(crate) fn operand(kind: ValueKind) -> Json {
    match kind {
        ValueKind::Text => json!({ "type": "string", "pattern": NO_NUL }),
        ValueKind::Integer => json!({ "type": "number" }),
        ValueKind::Decimal => json!({
            "anyOf": [{ "type": "string", "pattern": NUMERAL }, { "type": "number" }],
        }),
        // A day stands for its beginning.
        ValueKind::Datetime => json!({
            "anyOf": [datetime(&DatetimeRules::default()), date(&DateRules::default())],
        }),
        ValueKind::Date => date(&DateRules::default()),
        ValueKind::Uuid => uuid(),
        ValueKind::Boolean | ValueKind::Json => of_kind(kind),
    }
}

/// The schema of a bound in the definition of a field of this kind, which is a text.
pub(crate) fn bound(kind: ValueKind) -> Json {
    match kind {
        ValueKind::Decimal => json!({ "type": "string", "pattern": NUMERAL }),
        ValueKind::Datetime => datetime(&DatetimeRules::default()),
        _ => date(&DateRules::default()),
    }
}

/// The row, or the rows, that a reference points to.
pub(super) fn reference(is_many: bool, is_required: bool) -> Json {
    let rows_max = if is_many { REFERENCES_MAX } else { 1 };
    let many = json!({
        "type": "array",
        "items": uuid(),
        "minItems": usize::from(is_required),
        "maxItems": rows_max,
    });
    json!({ "anyOf": [uuid(), many] })
}

/// Takes null besides.
pub(crate) fn or_null(schema: &Json) -> Json {
    json!({ "anyOf": [schema, { "type": "null" }] })
}

/// Takes no null, where the schema by itself would.
pub(super) fn without_null(schema: Json) -> Json {
    if schema.get("type").is_some_and(Json::is_string) {
        return schema;
    }
    json!({ "allOf": [schema, { "not": { "type": "null" } }] })
}

fn text(rules: &TextRules, length_max: usize) -> Json {
    let mut schema = json!({
        "type": "string",
        "minLength": rules.length_min.unwrap_or(0),
        "maxLength": length_max,
        "pattern": NO_NUL,
    });
    if let Some(pattern) = &rules.pattern {
        schema["allOf"] = json!([{ "pattern": pattern.as_str() }]);
    }
    schema
}

fn integer(rules: &IntegerRules) -> Json {
    json!({
        "type": "integer",
        "minimum": rules.minimum.unwrap_or(i64::MIN),
        "maximum": rules.maximum.unwrap_or(i64::MAX),
    })
}

fn uuid() -> Json {
    json!({ "type": "string", "format": "uuid", "pattern": UUID, "maxLength": 36 })
}

/// Any JSON without a NUL in its texts and names. `reference` is where this schema itself is found.
pub(crate) fn json_definition(reference: &str) -> Json {
    json!({
        "anyOf": [
            { "type": ["null", "boolean", "number"] },
            { "type": "string", "pattern": NO_NUL },
            { "type": "array", "items": { "$ref": reference } },
            {
                "type": "object",
                "propertyNames": { "pattern": NO_NUL },
                "additionalProperties": { "$ref": reference },
            },
        ],
    })
}

/// Takes numerals of as many digits as a decimal may have, wherever the point stands. Its place is counted
/// out, since not every dialect can look ahead.
fn digits_in_all() -> String {
    let with_point = (1..DECIMAL_DIGITS).map(|whole| {
        let fraction = DECIMAL_DIGITS - whole;
        format!("|[0-9]{{{whole}}}\\.[0-9]{{1,{fraction}}}")
    });
    let with_point: String = with_point.collect();
    format!("^-?([0-9]{{1,{DECIMAL_DIGITS}}}{with_point})$")
}

fn decimal(rules: &DecimalRules) -> Json {
    let form = match rules.scale {
        None => NUMERAL.to_owned(),
        Some(scale) => {
            let scale = usize::try_from(scale).unwrap_or(DECIMAL_DIGITS);
            let more = (DECIMAL_DIGITS - 1).saturating_sub(scale);
            let fraction = if scale == 0 {
                "(\\.0+)?".to_owned()
            } else {
                format!("(\\.([0-9]{{1,{scale}}}|[0-9]{{{scale}}}0+))?")
            };
            format!("^-?(0|[1-9][0-9]{{0,{more}}}){fraction}$")
        }
    };
    let mut patterns = vec![json!({ "pattern": digits_in_all() })];
    let limit = |limit: Decimal| limit.to_string();
    if let Some(minimum) = rules.minimum {
        let pattern = numeral::decimal(Bound::AtLeast, &limit(minimum));
        patterns.push(json!({ "pattern": pattern }));
    }
    if let Some(maximum) = rules.maximum {
        let pattern = numeral::decimal(Bound::AtMost, &limit(maximum));
        patterns.push(json!({ "pattern": pattern }));
    }
    json!({
        "type": "string",
        "format": "decimal",
        "pattern": form,
        "allOf": patterns,
        "not": one_line_only(),
    })
}

fn date(rules: &DateRules) -> Json {
    let mut patterns = Vec::new();
    for (bound, limit) in [
        (Bound::AtLeast, rules.minimum),
        (Bound::AtMost, rules.maximum),
    ] {
        if let Some(limit) = limit {
            let pattern = numeral::fixed(bound, &date_text(limit), None, "");
            patterns.push(json!({ "pattern": pattern }));
        }
    }
    let mut schema = json!({
        "type": "string",
        "format": "date",
        "pattern": format!("^{DAY}$"),
        "maxLength": 10,
    });
    if !patterns.is_empty() {
        schema["allOf"] = patterns.into();
    }
    schema
}

fn datetime(rules: &DatetimeRules) -> Json {
    let mut conditions = Vec::new();
    for (bound, limit) in [
        (Bound::AtLeast, rules.minimum),
        (Bound::AtMost, rules.maximum),
    ] {
        let text = limit.map(instant_text);
        if let Some((seconds, fraction)) = text.as_deref().and_then(|text| text.split_once('.')) {
            let fraction = fraction.trim_end_matches('Z');
            let within = numeral::fixed(bound, seconds, Some(fraction), "Z");
            // An offset would have to be added first.
            let shifted = format!("{OFFSET}$");
            conditions.push(json!({ "anyOf": [{ "pattern": within }, { "pattern": shifted }] }));
        }
    }
    let mut schema = json!({
        "type": "string",
        "format": "date-time",
        "pattern": format!("^{DAY}{TIME}(Z|{OFFSET})$"),
        "not": one_line_only(),
    });
    if !conditions.is_empty() {
        schema["allOf"] = conditions.into();
    }
    schema
}

/// In some dialects the end of a pattern is before a last line feed as well.
fn one_line_only() -> Json {
    json!({ "pattern": "\\n" })
}
