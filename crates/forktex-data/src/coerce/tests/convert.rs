// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! Changes of type.

use super::*;

#[track_caller]
fn changes(
    from: FieldDefinition,
    cases: impl IntoIterator<Item = (Value, FieldDefinition, Result<Cell, CellProblem>)>,
) {
    let from = of(from);
    for (value, to, expected) in cases {
        let to = of(to);
        assert_eq!(
            convert(&value, &from, &to, &types()),
            expected,
            "{value:?} to {to:?}"
        );
    }
}

const LOSS: Result<Cell, CellProblem> = Err(CellProblem::Unrepresentable);

#[test]
fn a_text_becomes_what_it_says() {
    changes(
        FieldDefinition::text("a"),
        [
            ("7".into(), FieldDefinition::integer("a"), cell(7)),
            (
                "7".into(),
                FieldDefinition::decimal("a"),
                cell(decimal("7")),
            ),
            ("x".into(), FieldDefinition::one_of("a", ["x"]), cell("x")),
            (" ".into(), FieldDefinition::integer("a"), Ok(Cell::Null)),
            (" ".into(), FieldDefinition::text("a"), cell(" ")),
            (
                "".into(),
                FieldDefinition::one_of("a", ["x"]),
                Ok(Cell::Null),
            ),
            (
                "".into(),
                FieldDefinition::uuid("a").required(),
                Err(CellProblem::Required),
            ),
            ("[1]".into(), FieldDefinition::json("a"), cell(json!("[1]"))),
            (
                "ab".into(),
                FieldDefinition::custom("a", "code"),
                cell("AB"),
            ),
            ("1.5".into(), FieldDefinition::integer("a"), LOSS),
        ],
    );
    changes(
        FieldDefinition::one_of("a", ["x"]),
        [("x".into(), FieldDefinition::text("a"), cell("x"))],
    );
}

#[test]
fn numbers_change_where_nothing_is_lost() {
    changes(
        FieldDefinition::integer("a"),
        [
            (7.into(), FieldDefinition::text("a"), cell("7")),
            (7.into(), FieldDefinition::json("a"), cell(json!(7))),
            (3.into(), FieldDefinition::decimal("a"), cell(decimal("3"))),
            (1.into(), FieldDefinition::boolean("a"), cell(true)),
            (2.into(), FieldDefinition::boolean("a"), LOSS),
            (
                0.into(),
                FieldDefinition::custom("a", "day"),
                cell(date!(1970 - 01 - 01)),
            ),
            (
                1.into(),
                FieldDefinition::formula("a", "1"),
                Err(CellProblem::ReadOnly),
            ),
        ],
    );
    changes(
        FieldDefinition::decimal("a"),
        [
            (decimal("3.00"), FieldDefinition::integer("a"), cell(3)),
            (decimal("1.5"), FieldDefinition::integer("a"), LOSS),
        ],
    );
    changes(
        FieldDefinition::boolean("a"),
        [(true.into(), FieldDefinition::integer("a"), cell(1))],
    );
}

#[test]
fn documents_become_what_they_hold() {
    changes(
        FieldDefinition::json("a"),
        [
            (json!("x").into(), FieldDefinition::text("a"), cell("x")),
            (json!([1]).into(), FieldDefinition::text("a"), cell("[1]")),
            (json!("7").into(), FieldDefinition::integer("a"), cell(7)),
            (
                json!(7.5).into(),
                FieldDefinition::decimal("a"),
                cell(decimal("7.5")),
            ),
            (
                Json::Null.into(),
                FieldDefinition::text("a"),
                Ok(Cell::Null),
            ),
            (
                Json::Null.into(),
                FieldDefinition::json("a"),
                cell(Json::Null),
            ),
        ],
    );
}

#[test]
fn days_and_instants_change_at_midnight() {
    let midnight = datetime!(2026-01-31 0:00 UTC);
    changes(
        FieldDefinition::date("a"),
        [(
            midnight.date().into(),
            FieldDefinition::datetime("a"),
            cell(midnight),
        )],
    );
    changes(
        FieldDefinition::datetime("a"),
        [
            (
                midnight.into(),
                FieldDefinition::date("a"),
                cell(midnight.date()),
            ),
            (
                datetime!(2026-01-31 0:01 UTC).into(),
                FieldDefinition::date("a"),
                LOSS,
            ),
        ],
    );
}

#[test]
fn a_change_that_makes_no_sense_is_refused() {
    for (value, from, to) in [
        (
            Value::from(true),
            FieldDefinition::boolean("a"),
            FieldDefinition::date("a"),
        ),
        (
            Value::from("x"),
            FieldDefinition::text("a"),
            FieldDefinition::reference("a"),
        ),
        (
            Value::from(Uuid::nil()),
            FieldDefinition::reference("a"),
            FieldDefinition::uuid("a"),
        ),
        (
            json!([]).into(),
            FieldDefinition::json("a"),
            FieldDefinition::integer("a"),
        ),
    ] {
        is_wrong_type(&convert(&value, &of(from), &of(to), &types()));
    }
}

#[test]
fn a_change_of_type_and_back_gives_the_same() {
    for (value, from) in [
        (Value::from(-7), FieldDefinition::integer("a")),
        (decimal("12.5"), FieldDefinition::decimal("a")),
        (Value::from(true), FieldDefinition::boolean("a")),
        (
            Value::from(date!(2026 - 01 - 31)),
            FieldDefinition::date("a"),
        ),
        (
            Value::from(datetime!(2026-01-31 13:45:00.5 UTC)),
            FieldDefinition::datetime("a"),
        ),
        (Value::from(Uuid::from_u128(9)), FieldDefinition::uuid("a")),
        (Value::from("7"), FieldDefinition::text("a")),
    ] {
        let from = of(from);
        for way in [FieldDefinition::text("b"), FieldDefinition::json("b")] {
            let way = of(way);
            let there = convert(&value, &from, &way, &types())
                .unwrap()
                .into_value()
                .unwrap();
            let back = convert(&there, &way, &from, &types());
            assert_eq!(back, Ok(Cell::Value(value.clone())), "{there:?}");
        }
    }
}
