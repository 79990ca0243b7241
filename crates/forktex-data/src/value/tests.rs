// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! Canonical text, cells as JSON, and the order of values.

use serde_json::json;
use time::macros::{date, datetime};

use super::*;

fn decimal(text: &str) -> Decimal {
    Decimal::from_str_exact(text).unwrap()
}

fn value_of_each_kind() -> Vec<Value> {
    vec![
        Value::from("text"),
        Value::from(-7),
        Value::from(decimal("12.50")),
        Value::from(true),
        Value::from(date!(2026 - 01 - 31)),
        Value::from(datetime!(2026-01-31 13:45:00.000001 UTC)),
        Value::from(Uuid::from_u128(7)),
        Value::from(json!({"a": [1, null]})),
    ]
}

#[test]
fn every_kind_comes_back_from_its_cell() {
    for value in value_of_each_kind() {
        let read = Value::from_cell_json(value.kind(), &value.to_cell_json());
        assert_eq!(read, Some(Cell::Value(value.clone())), "{value:?}");
        assert_eq!(
            Value::from_cell_json(value.kind(), &Json::Null),
            Some(Cell::Null)
        );
    }
}

#[test]
fn every_kind_is_written_as_its_json() {
    for value in value_of_each_kind() {
        let written = serde_json::to_string(&value).unwrap();
        assert_eq!(written, value.to_json().to_string(), "{value:?}");
    }
}

#[test]
fn a_cell_of_another_kind_is_not_read() {
    let values = value_of_each_kind();
    for value in &values {
        let json = value.to_cell_json();
        for kind in [
            ValueKind::Boolean,
            ValueKind::Date,
            ValueKind::Uuid,
            ValueKind::Json,
        ] {
            if kind != value.kind() {
                assert_eq!(Value::from_cell_json(kind, &json), None, "{kind:?} {json}");
            }
        }
    }
    for json in [json!([]), json!([1, 2]), json!({"a": 1})] {
        assert_eq!(Value::from_cell_json(ValueKind::Json, &json), None);
    }
    assert_eq!(Value::from_cell_json(ValueKind::Integer, &json!(1.5)), None);
    assert_eq!(Value::from_cell_json(ValueKind::Decimal, &json!(1.5)), None);
}

#[test]
fn texts_of_one_kind_sort_as_their_values() {
    let ascending: [Vec<Value>; 5] = [
        vec![false.into(), true.into()],
        ["", "A", "Z", "a", "é", "字", "🦀"].map(Value::from).into(),
        vec![
            date!(0000 - 01 - 01).into(),
            date!(0999 - 12 - 31).into(),
            date!(2026 - 01 - 31).into(),
            date!(2026 - 02 - 01).into(),
            date!(9999 - 12 - 31).into(),
        ],
        vec![
            datetime!(0000-01-01 0:00 UTC).into(),
            datetime!(2026-01-31 23:30 -1).into(),
            datetime!(2026-02-01 0:30:00.000001 UTC).into(),
            datetime!(2026-02-01 0:30:00.1 UTC).into(),
            datetime!(9999-12-31 23:59:59.999999 UTC).into(),
        ],
        [0, 1, 255, u128::MAX]
            .map(Uuid::from_u128)
            .map(Value::from)
            .into(),
    ];
    for values in &ascending {
        for (at, one) in values.iter().enumerate() {
            for (other_at, other) in values.iter().enumerate() {
                let (text, other_text) = (one.canonical_text(), other.canonical_text());
                assert_eq!(
                    text.cmp(&other_text),
                    at.cmp(&other_at),
                    "{text} {other_text}"
                );
                assert_eq!(
                    one.compare(other),
                    Some(at.cmp(&other_at)),
                    "{text} {other_text}"
                );
            }
        }
    }
}

#[test]
fn canonical_text_is_one_form_for_each_value() {
    for (value, text) in [
        (Value::from(false), "false"),
        (Value::from(-3), "-3"),
        (Value::from(decimal("1.500")), "1.5"),
        (Value::from(decimal("100")), "100"),
        (Value::from(decimal("0.00")), "0"),
        (Value::from(-decimal("0.0")), "0"),
        (Value::from(date!(0007 - 01 - 02)), "0007-01-02"),
        (
            Value::from(datetime!(2026-01-31 13:45 +2)),
            "2026-01-31T11:45:00.000000Z",
        ),
        (
            Value::from(datetime!(2026-01-31 13:45:00.123456789 UTC)),
            "2026-01-31T13:45:00.123456Z",
        ),
        (
            Value::from(Uuid::from_u128(10)),
            "00000000-0000-0000-0000-00000000000a",
        ),
    ] {
        assert_eq!(value.canonical_text(), text);
    }
}

#[test]
fn a_decimal_is_exact_and_keeps_its_zeros_in_a_cell() {
    for text in [
        "0.1",
        "12.50",
        "-0.0000000000000000000000001",
        "9999999999999999999999999999",
        "79228162514264337593543950335",
    ] {
        let Some(Cell::Value(read)) = Value::from_cell_json(ValueKind::Decimal, &json!(text))
        else {
            unreachable!("{text} is a decimal");
        };
        assert_eq!(read.to_cell_json(), json!(text));
    }
    // What would have to be rounded, or is no decimal, is not read.
    for text in [
        "99999999999999999999999999999",
        "1e3",
        "+1",
        "01",
        ".5",
        "5.",
        "",
        "-",
        "NaN",
        "1,5",
    ] {
        assert_eq!(parse_exact_decimal(text), None, "{text}");
    }
}

#[test]
fn numbers_compare_across_kinds_and_others_do_not() {
    let compare = |one: Value, other: Value| one.compare(&other);
    assert_eq!(
        compare(2.into(), decimal("1.5").into()),
        Some(Ordering::Greater)
    );
    assert_eq!(
        compare(decimal("1.50").into(), decimal("1.5").into()),
        Some(Ordering::Equal)
    );
    assert_eq!(
        compare(i64::MAX.into(), decimal("9223372036854775808").into()),
        Some(Ordering::Less)
    );
    assert_eq!(compare("1".into(), 1.into()), None);
    assert_eq!(compare(json!(1).into(), json!(1).into()), None);
    assert_eq!(compare(true.into(), 1.into()), None);
}

#[test]
fn people_see_documents_as_they_are() {
    assert_eq!(Value::from(json!([1])).to_json(), json!([1]));
    assert_eq!(Value::from(json!([1])).to_cell_json(), json!([[1]]));
    assert_eq!(Value::from(decimal("1.50")).to_json(), json!("1.50"));
    assert_eq!(serde_json::to_value(Value::from(5)).unwrap(), json!(5));
}

#[test]
fn dates_have_one_form() {
    assert_eq!(parse_date("2024-02-29"), Some(date!(2024 - 02 - 29)));
    for text in [
        "",
        "2026-1-31",
        "2026-02-29",
        "2026-13-01",
        "2026-00-01",
        "2026-01-00",
        "2026/01/31",
        "+2026-01-31",
        "-001-01-01",
        "2026-01-31 ",
        "２０２６-01-31",
        "10000-01-01",
    ] {
        assert_eq!(parse_date(text), None, "{text}");
    }
}

#[test]
fn instants_are_read_with_any_offset() {
    let expected = Some(datetime!(2026-01-31 13:45:00 UTC));
    for text in [
        "2026-01-31T13:45:00Z",
        "2026-01-31T13:45:00.000000Z",
        "2026-01-31T13:45:00.0+00:00",
        "2026-01-31T15:45:00+02:00",
        "2026-01-31T08:15:00-05:30",
        "2026-02-01T13:44:00+23:59",
    ] {
        assert_eq!(parse_instant(text), expected, "{text}");
    }
    assert_eq!(
        parse_instant("2026-01-31T13:45:00.12Z"),
        Some(datetime!(2026-01-31 13:45:00.12 UTC))
    );
    for text in [
        "2026-01-31",
        "2026-01-31T13:45Z",
        "2026-01-31T13:45:00",
        "2026-01-31 13:45:00Z",
        "2026-01-31t13:45:00z",
        "2026-01-31T24:00:00Z",
        "2026-01-31T13:60:00Z",
        "2026-01-31T13:45:60Z",
        "2026-01-31T13:45:00.Z",
        "2026-01-31T13:45:00.1234567Z",
        "2026-01-31T13:45:00+24:00",
        "2026-01-31T13:45:00+00:60",
        "2026-01-31T13:45:00+0000",
        "0000-01-01T00:00:00+00:01",
        "9999-12-31T23:59:59-00:01",
        "2026-01-31T13:45:00Zé",
        "éééééé",
    ] {
        assert_eq!(parse_instant(text), None, "{text}");
    }
}

#[test]
fn uuids_have_dashes() {
    let id = Uuid::from_u128(0xABC);
    assert_eq!(parse_uuid(&id.to_string().to_uppercase()), Some(id));
    for text in [
        id.simple().to_string(),
        id.braced().to_string(),
        id.urn().to_string(),
        String::new(),
    ] {
        assert_eq!(parse_uuid(&text), None, "{text}");
    }
}

#[test]
fn a_value_is_given_as_what_it_is() {
    let values = value_of_each_kind();
    let of = |kind| values.iter().find(|value| value.kind() == kind).unwrap();
    assert_eq!(of(ValueKind::Text).as_str(), Some("text"));
    assert_eq!(of(ValueKind::Integer).as_integer(), Some(-7));
    assert_eq!(of(ValueKind::Integer).as_decimal(), Some(decimal("-7")));
    assert_eq!(of(ValueKind::Boolean).as_boolean(), Some(true));
    assert_eq!(of(ValueKind::Date).as_date(), Some(date!(2026 - 01 - 31)));
    assert!(of(ValueKind::Datetime).as_instant().is_some());
    assert!(of(ValueKind::Uuid).as_uuid().is_some() && of(ValueKind::Json).as_json().is_some());
    assert_eq!(of(ValueKind::Text).as_integer(), None);
    for value in &values {
        let kind = value.kind();
        assert_eq!(serde_json::to_value(kind).unwrap(), json!(kind.as_str()));
        assert_eq!(kind.is_number(), value.as_decimal().is_some());
    }
}
