// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! Types as JSON.

use serde_json::json;

use super::*;

fn read(json: Json) -> Result<FieldType, serde_json::Error> {
    serde_json::from_value(json)
}

#[test]
fn every_type_goes_through_json() {
    for json in [
        json!({"kind": "text"}),
        json!({"kind": "text", "length_min": 1, "length_max": 9, "pattern": "^a"}),
        json!({"kind": "integer", "minimum": -5, "maximum": 9_223_372_036_854_775_807_i64}),
        json!({"kind": "number"}),
        json!({"kind": "decimal", "minimum": "-0.10", "maximum": "12.5", "scale": 2}),
        json!({"kind": "boolean"}),
        json!({"kind": "date", "minimum": "2026-01-31"}),
        json!({"kind": "datetime", "maximum": "2026-01-31T13:45:00.000000Z"}),
        json!({"kind": "uuid"}),
        json!({"kind": "enum", "options": ["a", {"key": "b", "label": "B"}]}),
        json!({"kind": "json"}),
        json!({"kind": "json", "bytes_max": 10}),
        json!({"kind": "reference", "relationship": "client"}),
        json!({"kind": "lookup", "through": "client", "field": "name"}),
        json!({"kind": "rollup", "through": "lines", "aggregate": "count"}),
        json!({"kind": "rollup", "through": "lines", "aggregate": {"sum": "amount"}}),
        json!({"kind": "formula", "expression": "net * 1.2"}),
        json!({"kind": "custom", "custom_type": "iban"}),
        json!({"kind": "custom", "custom_type": "iban", "options": {"country": "DE"}}),
    ] {
        let field_type = read(json.clone()).unwrap();
        assert_eq!(json["kind"], field_type.name());
        assert_eq!(serde_json::to_value(&field_type).unwrap(), json);
    }
}

#[test]
fn a_member_that_a_type_does_not_have_is_refused() {
    for kind in [
        json!({"kind": "text"}),
        json!({"kind": "integer"}),
        json!({"kind": "number"}),
        json!({"kind": "decimal"}),
        json!({"kind": "boolean"}),
        json!({"kind": "date"}),
        json!({"kind": "datetime"}),
        json!({"kind": "uuid"}),
        json!({"kind": "enum", "options": ["a"]}),
        json!({"kind": "json"}),
        json!({"kind": "reference", "relationship": "client"}),
        json!({"kind": "lookup", "through": "client", "field": "name"}),
        json!({"kind": "rollup", "through": "lines", "aggregate": "count"}),
        json!({"kind": "formula", "expression": "1"}),
        json!({"kind": "custom", "custom_type": "iban"}),
    ] {
        assert!(read(kind.clone()).is_ok(), "{kind}");
        let mut more = kind;
        more["surprise"] = json!(1);
        assert!(read(more.clone()).is_err(), "{more}");
    }
}

#[test]
fn what_is_no_type_is_refused() {
    for json in [
        json!({}),
        json!({"kind": "money"}),
        json!("text"),
        json!({"kind": "enum"}),
        json!({"kind": "enum", "options": [1]}),
        json!({"kind": "enum", "options": [{"key": "a", "labell": "A"}]}),
        json!({"kind": "decimal", "minimum": 1}),
        json!({"kind": "decimal", "minimum": "1e3"}),
        json!({"kind": "date", "minimum": "31.01.2026"}),
        json!({"kind": "datetime", "minimum": "2026-01-31"}),
        json!({"kind": "rollup", "through": "lines", "aggregate": {"median": "a"}}),
        json!({"kind": "text", "length_max": -1}),
    ] {
        assert!(read(json.clone()).is_err(), "{json}");
    }
}

#[test]
fn bounds_that_are_null_are_none() {
    let field_type = read(json!({"kind": "decimal", "minimum": null})).unwrap();
    assert_eq!(field_type, FieldType::Decimal(DecimalRules::default()));
}

#[test]
fn a_type_says_what_its_values_are_where_it_can() {
    let types = TypeRegistry::new().with(crate::custom_type::tests::Day);
    let kind = |json| read(json).unwrap().kind(&types);
    assert_eq!(kind(json!({"kind": "number"})), Some(ValueKind::Integer));
    assert_eq!(
        kind(json!({"kind": "custom", "custom_type": "day"})),
        Some(ValueKind::Date)
    );
    assert_eq!(
        kind(json!({"kind": "custom", "custom_type": "month"})),
        None
    );
    assert_eq!(kind(json!({"kind": "formula", "expression": "1"})), None);
    let rollup =
        |aggregate| kind(json!({"kind": "rollup", "through": "a", "aggregate": aggregate}));
    assert_eq!(rollup(json!("count")), Some(ValueKind::Integer));
    assert_eq!(rollup(json!("exists")), Some(ValueKind::Boolean));
    assert_eq!(rollup(json!({"average": "b"})), Some(ValueKind::Decimal));
    assert_eq!(rollup(json!({"min": "b"})), None);
}

#[test]
fn what_is_computed_or_counted_is_read_only() {
    let number = FieldType::Number;
    assert!(number.is_read_only() && !number.is_computed());
    let formula = read(json!({"kind": "formula", "expression": "1"})).unwrap();
    assert!(formula.is_read_only() && formula.is_computed());
    assert!(!FieldType::Uuid.is_read_only());
    let reference = read(json!({"kind": "reference", "relationship": "a"})).unwrap();
    assert!(reference.is_reference() && !reference.is_read_only());
}
