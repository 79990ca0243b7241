// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! Cells of each type from JSON and from Rust, strictly.

mod convert;
mod text;

use rust_decimal::Decimal;
use serde_json::json;
use time::macros::{date, datetime};

use super::*;
use crate::custom_type::tests::{Code, Day};
use crate::field_type::{EnumOption, Rollup};
use crate::keys::FieldKey;
use crate::register::BuildState;

fn types() -> TypeRegistry {
    TypeRegistry::new().with(Code).with(Day)
}

/// A field of this definition; what is computed gives decimals.
fn of(definition: FieldDefinition) -> Field {
    Field {
        key: FieldKey(1),
        kind: definition.kind(&types()).unwrap_or(ValueKind::Decimal),
        definition,
        index: BuildState::None,
        unique_state: BuildState::None,
        search: BuildState::None,
    }
}

fn decimal(text: &str) -> Value {
    Value::Decimal(Decimal::from_str_exact(text).unwrap())
}

#[expect(
    clippy::unnecessary_wraps,
    reason = "it is compared with what was read"
)]
fn cell(value: impl Into<Value>) -> Result<Cell, CellProblem> {
    Ok(Cell::Value(value.into()))
}

/// From JSON.
fn read(definition: FieldDefinition, json: &Json) -> Result<Cell, CellProblem> {
    coerce(&of(definition), json, &types())
}

/// From text.
fn read_text(definition: FieldDefinition, text: &str) -> Result<Cell, CellProblem> {
    coerce_text(&of(definition), text, &types())
}

#[track_caller]
fn is_wrong_type(outcome: &Result<Cell, CellProblem>) {
    assert!(
        matches!(outcome, Err(CellProblem::WrongType { .. })),
        "{outcome:?}"
    );
}

#[test]
fn json_is_read_strictly() {
    let id = Uuid::from_u128(5);
    for (definition, json, value) in [
        (FieldDefinition::text("a"), json!("x"), Value::from("x")),
        (FieldDefinition::text("a"), json!(""), Value::from("")),
        (FieldDefinition::integer("a"), json!(-3), Value::from(-3)),
        (FieldDefinition::integer("a"), json!(3.0), Value::from(3)),
        (
            FieldDefinition::integer("a"),
            json!(1e3),
            Value::from(1_000),
        ),
        (
            FieldDefinition::integer("a"),
            json!(i64::MIN),
            Value::from(i64::MIN),
        ),
        (
            FieldDefinition::decimal("a"),
            json!("12.50"),
            decimal("12.5"),
        ),
        (
            FieldDefinition::boolean("a"),
            json!(true),
            Value::from(true),
        ),
        (
            FieldDefinition::date("a"),
            json!("2026-01-31"),
            Value::from(date!(2026 - 01 - 31)),
        ),
        (
            FieldDefinition::datetime("a"),
            json!("2026-01-31T13:45:00+01:00"),
            Value::from(datetime!(2026-01-31 12:45 UTC)),
        ),
        (
            FieldDefinition::uuid("a"),
            json!(id.to_string()),
            Value::from(id),
        ),
        (
            FieldDefinition::one_of("a", ["x"]),
            json!("x"),
            Value::from("x"),
        ),
        (
            FieldDefinition::json("a"),
            json!([null]),
            Value::from(json!([null])),
        ),
        (
            FieldDefinition::json("a"),
            json!("x"),
            Value::from(json!("x")),
        ),
        (
            FieldDefinition::custom("a", "code"),
            json!("ab"),
            Value::from("AB"),
        ),
        (
            FieldDefinition::custom("a", "day"),
            json!(1),
            Value::from(date!(1970 - 01 - 02)),
        ),
    ] {
        let outcome = read(definition.clone(), &json);
        assert_eq!(outcome, Ok(Cell::Value(value)), "{definition:?} {json}");
    }
}

#[test]
fn nothing_is_guessed() {
    for (definition, wrong) in [
        (
            FieldDefinition::text("a"),
            vec![json!(1), json!(true), json!([]), json!({})],
        ),
        (
            FieldDefinition::integer("a"),
            vec![json!("12"), json!(true), json!(1.5), json!([1])],
        ),
        (
            FieldDefinition::decimal("a"),
            vec![json!(1), json!(1.5), json!(false)],
        ),
        (
            FieldDefinition::boolean("a"),
            vec![json!("true"), json!(1), json!(0)],
        ),
        (
            FieldDefinition::date("a"),
            vec![json!("31.01.2026"), json!(20_260_131), json!("")],
        ),
        (
            FieldDefinition::datetime("a"),
            vec![json!("2026-01-31"), json!(0), json!("now")],
        ),
        (
            FieldDefinition::uuid("a"),
            vec![json!("x"), json!(5), json!("")],
        ),
        (
            FieldDefinition::one_of("a", ["x"]),
            vec![json!(1), json!(["x"])],
        ),
    ] {
        for json in wrong {
            is_wrong_type(&read(definition.clone(), &json));
        }
    }
}

#[test]
fn null_empties_and_required_refuses_it() {
    let all = [
        FieldDefinition::text("a"),
        FieldDefinition::decimal("a"),
        FieldDefinition::json("a"),
        FieldDefinition::custom("a", "code"),
    ];
    for definition in all {
        assert_eq!(read(definition.clone(), &Json::Null), Ok(Cell::Null));
        let required = of(definition.required());
        for nothing in [
            DraftCell::Null,
            DraftCell::Absent,
            DraftCell::Json(Json::Null),
        ] {
            let outcome = coerce_draft(&required, &nothing, &types());
            assert_eq!(outcome, Err(CellProblem::Required), "{nothing:?}");
        }
        assert_eq!(
            coerce_text(&required, "", &types()),
            Err(CellProblem::Required)
        );
    }
    let text = of(FieldDefinition::text("a"));
    assert_eq!(
        coerce_draft(&text, &DraftCell::Absent, &types()),
        Ok(Cell::Absent)
    );
    // A document `null` can be given in Rust alone.
    let document = of(FieldDefinition::json("a").required());
    let given = coerce_draft(
        &document,
        &DraftCell::Value(Value::Json(Json::Null)),
        &types(),
    );
    assert_eq!(given, cell(Json::Null));
    let given = coerce_value(&text, Value::Json(Json::Null), &types());
    assert_eq!(given, Ok(Cell::Null));
}

#[test]
fn a_decimal_is_exact_or_refused() {
    let plain = || FieldDefinition::decimal("a");
    assert_eq!(
        read(plain(), &json!("0.10")),
        Ok(Cell::Value(decimal("0.1")))
    );
    let Ok(Cell::Value(value)) = read(plain().scale(2), &json!("7")) else {
        unreachable!("7 has no more than two digits after the point");
    };
    assert_eq!(value.to_cell_json(), json!("7.00"));
    for (text, problem) in [
        ("1.234", CellProblem::Scale { scale: 2 }),
        ("999999999999999999999999999", CellProblem::Unrepresentable),
        (
            "12345678901234567890123456789",
            CellProblem::Unrepresentable,
        ),
        ("1e2", CellProblem::NotANumber),
        ("", CellProblem::NotANumber),
        ("1,5", CellProblem::NotANumber),
        ("01", CellProblem::NotANumber),
    ] {
        assert_eq!(read(plain().scale(2), &json!(text)), Err(problem), "{text}");
    }
    // Zeros that nobody needs are no loss.
    assert!(read(plain().scale(2), &json!("1.5000")).is_ok());
    for text in ["-0", "0", "-0.00", "0.0"] {
        let Ok(Cell::Value(zero)) = read(plain(), &json!(text)) else {
            unreachable!("{text} is a number");
        };
        assert_eq!(zero.to_cell_json(), json!("0"));
    }
    let digits = "1234567890123456789012345678";
    assert_eq!(
        read(plain(), &json!(digits)),
        Ok(Cell::Value(decimal(digits)))
    );
    let rust = coerce_value(&of(plain()), Value::Decimal(Decimal::MAX), &types());
    assert_eq!(rust, Err(CellProblem::Unrepresentable));
}

#[test]
fn numbers_that_do_not_fit_are_refused() {
    for json in [json!(u64::MAX), json!(1e19), json!(-1e300)] {
        let outcome = read(FieldDefinition::integer("a"), &json);
        assert_eq!(outcome, Err(CellProblem::Unrepresentable), "{json}");
    }
    assert_eq!(
        read(FieldDefinition::integer("a"), &json!(-1e18)),
        cell(-1_000_000_000_000_000_000_i64)
    );
}

#[track_caller]
fn refused(cases: impl IntoIterator<Item = (FieldDefinition, Json, CellProblem)>) {
    for (definition, json, problem) in cases {
        assert_eq!(
            read(definition.clone(), &json),
            Err(problem),
            "{definition:?} {json}"
        );
    }
}

#[test]
fn rules_for_texts_and_documents_are_held() {
    refused([
        (
            FieldDefinition::text("a").length(2..=3),
            json!("é"),
            CellProblem::TooShort { length: 1, min: 2 },
        ),
        (
            FieldDefinition::text("a").length(2..=3),
            json!("éééé"),
            CellProblem::TooLong { length: 4, max: 3 },
        ),
        (
            FieldDefinition::text("a").unique(),
            json!("x".repeat(513)),
            CellProblem::TooLong {
                length: 513,
                max: 512,
            },
        ),
        (
            FieldDefinition::text("a").pattern("^[a-z]+$"),
            json!("A"),
            CellProblem::Pattern {
                pattern: "^[a-z]+$".into(),
            },
        ),
        (
            FieldDefinition::one_of("a", ["x", "y"]),
            json!("z"),
            CellProblem::NotAnOption {
                options: vec!["x".into(), "y".into()],
            },
        ),
        (
            FieldDefinition::json("a").bytes_max(6),
            json!("12345"),
            CellProblem::TooLarge { bytes: 7, max: 6 },
        ),
        (
            FieldDefinition::custom("a", "code").custom_options(json!({"length": 3})),
            json!("ab"),
            CellProblem::Custom {
                message: "a code has 3 letters".into(),
            },
        ),
    ]);
}

#[test]
fn ranges_are_held() {
    refused([
        (
            FieldDefinition::integer("a").range(1, 2),
            json!(0),
            CellProblem::BelowMinimum {
                minimum: "1".into(),
            },
        ),
        (
            FieldDefinition::decimal("a").range(1, 2),
            json!("2.01"),
            CellProblem::AboveMaximum {
                maximum: "2".into(),
            },
        ),
        (
            FieldDefinition::date("a").range(date!(2026 - 01 - 01), date!(2026 - 12 - 31)),
            json!("2027-01-01"),
            CellProblem::AboveMaximum {
                maximum: "2026-12-31".into(),
            },
        ),
        (
            FieldDefinition::datetime("a").range(
                datetime!(2026-01-01 0:00 UTC),
                datetime!(2027-01-01 0:00 UTC),
            ),
            json!("2026-01-01T00:00:00+01:00"),
            CellProblem::BelowMinimum {
                minimum: "2026-01-01T00:00:00.000000Z".into(),
            },
        ),
    ]);
}

#[test]
fn large_and_odd_cells_are_refused() {
    let large = json!("x".repeat(10 << 20));
    let text = read(FieldDefinition::text("a"), &large);
    assert!(matches!(
        text,
        Err(CellProblem::TooLong { max: 10_000, .. })
    ));
    let document = read(FieldDefinition::json("a"), &large);
    assert!(matches!(
        document,
        Err(CellProblem::TooLarge { max: 262_144, .. })
    ));
    let deep = |depth| (1..depth).fold(json!(1), |inner, _| json!([inner]));
    assert!(read(FieldDefinition::json("a"), &deep(100)).is_ok());
    let outcome = read(FieldDefinition::json("a"), &deep(101));
    assert_eq!(outcome, Err(CellProblem::TooDeep { depth_max: 100 }));
    for (definition, json) in [
        (FieldDefinition::text("a"), json!("x\0")),
        (FieldDefinition::json("a"), json!(["\0"])),
        (FieldDefinition::json("a"), json!({"a": {"\0": 1}})),
        (FieldDefinition::custom("a", "code"), json!("\0")),
    ] {
        assert_eq!(
            read(definition, &json),
            Err(CellProblem::NulCharacter),
            "{json}"
        );
    }
}

#[test]
fn what_is_read_only_cannot_be_given_in_any_form() {
    for definition in [
        FieldDefinition::number("a"),
        FieldDefinition::formula("a", "1"),
        FieldDefinition::lookup("a", "b", "c"),
        FieldDefinition::rollup("a", "b", Rollup::Count),
    ] {
        let field = of(definition);
        assert_eq!(
            coerce(&field, &json!(1), &types()),
            Err(CellProblem::ReadOnly)
        );
        assert_eq!(
            coerce(&field, &json!(null), &types()),
            Err(CellProblem::ReadOnly)
        );
        assert_eq!(
            coerce_text(&field, "1", &types()),
            Err(CellProblem::ReadOnly)
        );
        for cell in [
            DraftCell::Null,
            DraftCell::Absent,
            DraftCell::Value(Value::from(1)),
            DraftCell::References(vec![]),
        ] {
            let outcome = coerce_draft(&field, &cell, &types());
            assert_eq!(outcome, Err(CellProblem::ReadOnly), "{cell:?}");
        }
    }
}

#[test]
fn values_from_rust_are_of_the_kind_or_stand_for_it() {
    let give = |definition, value: Value| coerce_value(&of(definition), value, &types());
    let date = Value::from(date!(2026 - 01 - 31));
    assert_eq!(
        give(FieldDefinition::decimal("a"), 3.into()),
        Ok(Cell::Value(decimal("3")))
    );
    assert_eq!(
        give(FieldDefinition::decimal("a"), "3.5".into()),
        Ok(Cell::Value(decimal("3.5")))
    );
    assert_eq!(
        give(FieldDefinition::date("a"), "2026-01-31".into()),
        Ok(Cell::Value(date))
    );
    assert_eq!(
        give(FieldDefinition::integer("a"), json!(3).into()),
        cell(3)
    );
    assert_eq!(
        give(FieldDefinition::custom("a", "code"), "x".into()),
        cell("X")
    );
    assert_eq!(
        give(FieldDefinition::custom("a", "day"), 0.into()),
        cell(date!(1970 - 01 - 01))
    );
    let instant = datetime!(2026-01-31 13:45:00.123456789 +1);
    assert_eq!(
        give(FieldDefinition::datetime("a"), instant.into()),
        cell(datetime!(2026-01-31 12:45:00.123456 UTC))
    );
    for (definition, value) in [
        (FieldDefinition::integer("a"), Value::from("3")),
        (FieldDefinition::integer("a"), decimal("3")),
        (FieldDefinition::text("a"), Value::from(3)),
        (FieldDefinition::json("a"), Value::from("x")),
        (FieldDefinition::boolean("a"), Value::from(1)),
        (FieldDefinition::date("a"), Value::from(instant)),
    ] {
        is_wrong_type(&give(definition, value));
    }
    let before = Value::from(date!(-001 - 01 - 01));
    assert_eq!(
        give(FieldDefinition::date("a"), before),
        Err(CellProblem::Unrepresentable)
    );
    let references = DraftCell::References(vec![]);
    is_wrong_type(&coerce_draft(
        &of(FieldDefinition::text("a")),
        &references,
        &types(),
    ));
}

#[test]
fn a_custom_type_that_is_gone_or_breaks_its_promise_is_told() {
    let gone = Field {
        kind: ValueKind::Text,
        ..of(FieldDefinition::custom("a", "gone"))
    };
    let broken = of(FieldDefinition::custom("a", "code").custom_options(json!({"fails": true})));
    for field in [gone, broken] {
        let outcome = coerce(&field, &json!("x"), &types());
        assert!(
            matches!(outcome, Err(CellProblem::Custom { .. })),
            "{outcome:?}"
        );
    }
}
