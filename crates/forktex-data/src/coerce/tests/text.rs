// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! Cells from text, loosely, and what filters compare with.

use super::*;

#[test]
fn text_is_read_as_people_write() {
    let labelled =
        || FieldDefinition::one_of("a", [EnumOption::labelled("x", "The X"), "y".into()]);
    let id = Uuid::from_u128(5);
    for (definition, text, value) in [
        (FieldDefinition::text("a"), " x ", Value::from(" x ")),
        (FieldDefinition::text("a"), " ", Value::from(" ")),
        (FieldDefinition::integer("a"), " +007 ", Value::from(7)),
        (FieldDefinition::integer("a"), "12.0", Value::from(12)),
        (FieldDefinition::decimal("a"), ".5", decimal("0.5")),
        (FieldDefinition::decimal("a"), "-5.", decimal("-5")),
        (
            FieldDefinition::decimal("a"),
            "00012.500000000000000000000000000000000",
            decimal("12.5"),
        ),
        (FieldDefinition::boolean("a"), "YES", Value::from(true)),
        (FieldDefinition::boolean("a"), "0", Value::from(false)),
        (
            FieldDefinition::date("a"),
            " 2026-01-31 ",
            Value::from(date!(2026 - 01 - 31)),
        ),
        (
            FieldDefinition::uuid("a"),
            "{00000000-0000-0000-0000-000000000005}",
            Value::from(id),
        ),
        (FieldDefinition::json("a"), " [1] ", Value::from(json!([1]))),
        (labelled(), "The X", Value::from("x")),
        (labelled(), "x", Value::from("x")),
        (labelled(), " y ", Value::from("y")),
        (FieldDefinition::custom("a", "code"), "x", Value::from("X")),
        (
            FieldDefinition::custom("a", "day"),
            "2026-01-31",
            Value::from(date!(2026 - 01 - 31)),
        ),
    ] {
        let outcome = read_text(definition.clone(), text);
        assert_eq!(outcome, Ok(Cell::Value(value)), "{definition:?} {text:?}");
    }
}

#[test]
fn instants_are_tidied_before_they_are_read() {
    let expected = datetime!(2026-01-31 13:45 UTC);
    for text in [
        "2026-01-31T13:45:00Z",
        "2026-01-31 13:45:00",
        "2026-01-31 13:45",
        "2026-01-31t13:45z",
        "2026-01-31T13:45:00.0000000009Z",
        "2026-01-31 14:45:00 +01:00",
        "2026-01-31 08:45-05:00",
    ] {
        assert_eq!(
            read_text(FieldDefinition::datetime("a"), text),
            cell(expected),
            "{text}"
        );
    }
    let day = read_text(FieldDefinition::datetime("a"), "2026-01-31");
    assert_eq!(day, cell(datetime!(2026-01-31 0:00 UTC)));
    for text in [
        "13:45",
        "2026-01-31T",
        "2026-01-31 25:00",
        "2026-01-31 13:45:00.x",
        "tomorrow",
        "é",
    ] {
        is_wrong_type(&read_text(FieldDefinition::datetime("a"), text));
    }
}

#[test]
fn a_blank_text_is_an_absent_cell() {
    assert_eq!(read_text(FieldDefinition::text("a"), ""), Ok(Cell::Absent));
    assert_eq!(
        read_text(FieldDefinition::integer("a"), " "),
        Ok(Cell::Absent)
    );
    assert_eq!(
        read_text(FieldDefinition::one_of("a", ["x"]), "  "),
        Ok(Cell::Absent)
    );
}

#[test]
fn text_that_is_none_of_it_is_refused() {
    for text in [
        "x", "1 000", "1,5", "1e3", "--1", "+-1", "1.2.3", ".", "NaN", "inf", "٣",
    ] {
        let outcome = read_text(FieldDefinition::decimal("a"), text);
        assert_eq!(outcome, Err(CellProblem::NotANumber), "{text}");
    }
    let fraction = read_text(FieldDefinition::integer("a"), "1.5");
    assert_eq!(fraction, Err(CellProblem::Unrepresentable));
    is_wrong_type(&read_text(FieldDefinition::boolean("a"), "maybe"));
    is_wrong_type(&read_text(FieldDefinition::json("a"), "{"));
    is_wrong_type(&read_text(FieldDefinition::uuid("a"), "5"));
    let option = read_text(FieldDefinition::one_of("a", ["x"]), "z");
    assert!(matches!(option, Err(CellProblem::NotAnOption { .. })));
}

#[test]
fn operands_are_not_held_to_the_rules() {
    let operand = |definition, json: Json| coerce_operand(&of(definition), &json, &types());
    let limited = || FieldDefinition::integer("a").range(5, 6);
    assert_eq!(operand(limited(), json!(1)), Ok(Value::from(1)));
    assert_eq!(operand(limited(), json!(1.5)), Ok(decimal("1.5")));
    assert_eq!(
        operand(FieldDefinition::decimal("a").scale(1), json!(0.125)),
        Ok(decimal("0.125"))
    );
    assert_eq!(
        operand(FieldDefinition::decimal("a"), json!("1.5")),
        Ok(decimal("1.5"))
    );
    assert_eq!(
        operand(FieldDefinition::one_of("a", ["x"]), json!("y")),
        Ok(Value::from("y"))
    );
    assert_eq!(
        operand(FieldDefinition::number("a"), json!(7)),
        Ok(Value::from(7))
    );
    assert_eq!(
        operand(FieldDefinition::formula("a", "1"), json!(7)),
        Ok(Value::from(7))
    );
    let id = Uuid::from_u128(3);
    assert_eq!(
        operand(FieldDefinition::reference("a"), json!(id.to_string())),
        Ok(id.into())
    );
    assert_eq!(
        operand(FieldDefinition::custom("a", "code"), json!("x")),
        Ok(Value::from("X"))
    );
    let bound = FieldDefinition::custom("a", "code").custom_options(json!({"length": 3}));
    assert_eq!(operand(bound, json!("x")), Ok(Value::from("x")));
    assert!(operand(limited(), json!("1")).is_err());
    assert!(operand(FieldDefinition::decimal("a"), json!(1e300)).is_err());
    assert!(operand(FieldDefinition::text("a"), json!(null)).is_err());
    let nul = operand(FieldDefinition::text("a"), json!("\0"));
    assert_eq!(nul, Err(CellProblem::NulCharacter));
}

#[test]
fn operands_from_rust_are_as_those_from_json() {
    let operand = |definition, value: Value| operand_from_value(&of(definition), value, &types());
    assert_eq!(
        operand(FieldDefinition::integer("a"), decimal("1.50")),
        Ok(decimal("1.5"))
    );
    assert_eq!(
        operand(FieldDefinition::decimal("a"), 1.into()),
        Ok(Value::from(1))
    );
    assert_eq!(
        operand(FieldDefinition::integer("a"), json!(1).into()),
        Ok(Value::from(1))
    );
    assert_eq!(
        operand(FieldDefinition::custom("a", "code"), "x".into()),
        Ok(Value::from("X"))
    );
    let id = Uuid::from_u128(3);
    assert_eq!(
        operand(FieldDefinition::reference("a"), id.into()),
        Ok(id.into())
    );
    assert!(operand(FieldDefinition::text("a"), 1.into()).is_err());
}
