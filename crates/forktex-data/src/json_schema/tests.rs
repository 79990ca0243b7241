// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! Forms of values, held against the patterns that say them.

use regex::Regex;
use serde_json::{Value as Json, json};

use super::value;
use crate::custom_type::TypeRegistry;
use crate::field::FieldDefinition;
use crate::value::ValueKind;

/// Whether all patterns of the schema of a text take it. The rest of JSON Schema is not looked at.
fn takes(schema: &Json, text: &str) -> bool {
    let matches = |pattern: &Json| {
        Regex::new(pattern.as_str().unwrap())
            .unwrap()
            .is_match(text)
    };
    let own = schema.get("pattern").is_none_or(matches);
    let parts = schema.get("allOf").and_then(Json::as_array);
    own && parts.is_none_or(|parts| {
        parts.iter().all(|part| match part.get("anyOf") {
            Some(any) => any.as_array().unwrap().iter().any(|one| takes(one, text)),
            None => takes(part, text),
        })
    })
}

fn schema(definition: &FieldDefinition, kind: ValueKind) -> Json {
    value::to_be_written(definition, kind, &TypeRegistry::default(), "#")
}

#[test]
fn decimals_are_texts_of_one_form() {
    let plain = schema(&FieldDefinition::decimal("net"), ValueKind::Decimal);
    for text in ["0", "-0.5", "12.50", "1234567890123456789012345678"] {
        assert!(takes(&plain, text), "{text}");
    }
    for text in [
        "",
        "-",
        "01",
        "1.",
        ".5",
        "+1",
        "1e3",
        " 1",
        "1_000",
        "12345678901234567890123456789",
        "0.1234567890123456789012345678",
    ] {
        assert!(!takes(&plain, text), "{text}");
    }
    let cents = schema(
        &FieldDefinition::decimal("net").scale(2),
        ValueKind::Decimal,
    );
    for (text, is_taken) in [
        ("1", true),
        ("1.5", true),
        ("1.25", true),
        ("1.250", true),
        ("1.255", false),
        ("12345678901234567890123456", true),
        ("123456789012345678901234567", false),
    ] {
        assert_eq!(takes(&cents, text), is_taken, "{text}");
    }
}

#[test]
fn days_are_those_of_the_calendar() {
    let schema = schema(&FieldDefinition::date("day"), ValueKind::Date);
    for text in [
        "0000-02-29",
        "2024-02-29",
        "2000-02-29",
        "2026-12-31",
        "9999-01-01",
    ] {
        assert!(takes(&schema, text), "{text}");
    }
    for text in [
        "2026-02-29",
        "1900-02-29",
        "2026-04-31",
        "2026-13-01",
        "2026-1-01",
        "26-01-01",
    ] {
        assert!(!takes(&schema, text), "{text}");
    }
}

#[test]
fn instants_have_an_offset() {
    let schema = schema(&FieldDefinition::datetime("at"), ValueKind::Datetime);
    for text in [
        "2026-01-31T23:59:59Z",
        "2026-01-31T23:59:59.123456Z",
        "2026-01-31T00:00:00+02:00",
    ] {
        assert!(takes(&schema, text), "{text}");
    }
    for text in [
        "2026-01-31T23:59:59",
        "2026-01-31T24:00:00Z",
        "2026-01-31T23:59:60Z",
        "2026-01-31 23:59:59Z",
        "2026-01-31T23:59:59.1234567Z",
    ] {
        assert!(!takes(&schema, text), "{text}");
    }
}

#[test]
fn null_is_taken_where_it_is_allowed() {
    let plain = json!({ "type": "boolean" });
    assert_eq!(value::without_null(plain.clone()), plain);
    assert_eq!(
        value::or_null(&plain)["anyOf"][1],
        json!({ "type": "null" })
    );
    let document = json!({ "$ref": "#/$defs/json" });
    assert!(value::without_null(document).get("allOf").is_some());
}
