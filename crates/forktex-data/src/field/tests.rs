// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! Definitions: from and to JSON, and everything that is refused.

use std::ops::RangeInclusive;

use serde_json::json;
use time::macros::date;

use super::*;
use crate::custom_type::tests::Code;
use crate::field_name::NameProblem;
use crate::field_type::{EnumOption, Rollup};
use crate::validate::CellProblem;

fn types() -> TypeRegistry {
    TypeRegistry::new().with(Code)
}

fn problem(definition: &FieldDefinition) -> Option<DefinitionProblem> {
    definition.check(&types()).err().map(|error| error.problem)
}

#[track_caller]
fn refused(definition: &FieldDefinition, expected: &DefinitionProblem) {
    assert_eq!(
        problem(definition).as_ref(),
        Some(expected),
        "{definition:?}"
    );
}

fn not_for(option: &'static str, field_type: &'static str) -> DefinitionProblem {
    DefinitionProblem::NotForType { option, field_type }
}

#[test]
fn definitions_go_through_json() {
    for definition in [
        FieldDefinition::text("a")
            .required()
            .unique()
            .length(1..=20)
            .pattern("^[a-z]+$"),
        FieldDefinition::integer("a")
            .range(1, 5)
            .default_value(3)
            .indexed(),
        FieldDefinition::decimal("a")
            .scale(2)
            .range(0, 100)
            .label("Net")
            .description("before tax"),
        FieldDefinition::number("a"),
        FieldDefinition::boolean("a").default_value(false),
        FieldDefinition::date("a").range(date!(2020 - 01 - 01), date!(2030 - 01 - 01)),
        FieldDefinition::datetime("a"),
        FieldDefinition::uuid("a"),
        FieldDefinition::one_of("a", ["x", "y"]).searchable(),
        FieldDefinition::json("a")
            .bytes_max(100)
            .default_value(json!({"b": []})),
        FieldDefinition::reference("client")
            .by_relationship("buyer")
            .required(),
        FieldDefinition::lookup("a", "client", "name"),
        FieldDefinition::rollup("a", "lines", Rollup::Sum("amount".into())),
        FieldDefinition::formula("a", "b * 2").indexed(),
        FieldDefinition::custom("a", "code")
            .custom_options(json!({"length": 3}))
            .unique(),
    ] {
        assert_eq!(problem(&definition), None, "{definition:?}");
        let json = serde_json::to_value(&definition).unwrap();
        let read: FieldDefinition = serde_json::from_value(json.clone()).unwrap();
        assert_eq!(read, definition, "{json}");
        let mut more = json;
        more["requird"] = json!(true);
        assert!(serde_json::from_value::<FieldDefinition>(more).is_err());
    }
}

#[test]
fn a_plain_definition_is_short_as_json() {
    assert_eq!(
        serde_json::to_value(FieldDefinition::text("a")).unwrap(),
        json!({"name": "a", "type": {"kind": "text"}})
    );
}

#[test]
fn names_are_checked() {
    refused(
        &FieldDefinition::text("Ä"),
        &DefinitionProblem::Name(NameProblem::FirstCharacter),
    );
    refused(
        &FieldDefinition::text("id"),
        &DefinitionProblem::Name(NameProblem::System),
    );
    let error = FieldDefinition::text("x".repeat(10_000))
        .check(&types())
        .unwrap_err();
    assert!(error.to_string().len() < 300);
    let reference = FieldDefinition::reference("a").by_relationship("");
    let problem = NameProblem::Empty;
    refused(
        &reference,
        &DefinitionProblem::OtherName {
            what: "relationship",
            problem,
        },
    );
    let lookup = FieldDefinition::lookup("a", "b c", "d");
    let problem = NameProblem::Character;
    refused(
        &lookup,
        &DefinitionProblem::OtherName {
            what: "through",
            problem,
        },
    );
    let rollup = FieldDefinition::rollup("a", "b", Rollup::Max("1".into()));
    let problem = NameProblem::FirstCharacter;
    refused(
        &rollup,
        &DefinitionProblem::OtherName {
            what: "field",
            problem,
        },
    );
}

#[test]
fn words_for_people_are_bounded() {
    let label = FieldDefinition::text("a").label("é".repeat(201));
    refused(
        &label,
        &DefinitionProblem::TooLong {
            what: "label",
            max: 200,
        },
    );
    let description = FieldDefinition::text("a").description("x\0");
    refused(
        &description,
        &DefinitionProblem::NulCharacter {
            what: "description",
        },
    );
    let pattern = FieldDefinition::text("a").pattern("a\0");
    refused(
        &pattern,
        &DefinitionProblem::NulCharacter { what: "pattern" },
    );
    let formula = FieldDefinition::formula("a", "'\0'");
    refused(
        &formula,
        &DefinitionProblem::NulCharacter { what: "expression" },
    );
}

#[test]
fn a_builder_that_does_not_fit_the_type_is_told() {
    refused(
        &FieldDefinition::integer("a").length(1..=2),
        &not_for("length", "integer"),
    );
    refused(
        &FieldDefinition::date("a").pattern("a"),
        &not_for("pattern", "date"),
    );
    refused(
        &FieldDefinition::text("a").range(1, 2),
        &not_for("range", "text"),
    );
    refused(
        &FieldDefinition::integer("a").range("1", "2"),
        &not_for("range", "integer"),
    );
    refused(
        &FieldDefinition::decimal("a").range("1", "2"),
        &not_for("range", "decimal"),
    );
    refused(
        &FieldDefinition::integer("a").scale(2),
        &not_for("scale", "integer"),
    );
    refused(
        &FieldDefinition::text("a").options(["x"]),
        &not_for("options", "text"),
    );
    refused(
        &FieldDefinition::text("a").bytes_max(1),
        &not_for("bytes_max", "text"),
    );
    refused(
        &FieldDefinition::text("a").by_relationship("x"),
        &not_for("by_relationship", "text"),
    );
    refused(
        &FieldDefinition::text("a")
            .scale(1)
            .range(1, 2)
            .custom_options(json!(1)),
        &not_for("scale", "text"),
    );
}

#[test]
fn types_do_what_they_can_and_no_more() {
    refused(
        &FieldDefinition::json("a").indexed(),
        &not_for("indexed", "json"),
    );
    refused(
        &FieldDefinition::json("a").unique(),
        &not_for("unique", "json"),
    );
    refused(
        &FieldDefinition::boolean("a").unique(),
        &not_for("unique", "boolean"),
    );
    refused(
        &FieldDefinition::integer("a").searchable(),
        &not_for("searchable", "integer"),
    );
    refused(
        &FieldDefinition::reference("a").indexed(),
        &not_for("indexed", "reference"),
    );
    refused(
        &FieldDefinition::formula("a", "1").unique(),
        &not_for("unique", "formula"),
    );
    refused(
        &FieldDefinition::number("a").required(),
        &not_for("required", "number"),
    );
    refused(
        &FieldDefinition::lookup("a", "b", "c").required(),
        &not_for("required", "lookup"),
    );
    refused(
        &FieldDefinition::number("a").default_value(1),
        &not_for("default", "number"),
    );
    refused(
        &FieldDefinition::reference("a").default_value("x"),
        &not_for("default", "reference"),
    );
    // What a formula gives is known only with its register.
    let formula = FieldDefinition::formula("a", "b").searchable();
    assert_eq!(problem(&formula), None);
}

#[test]
fn rules_that_allow_nothing_are_refused() {
    let range = DefinitionProblem::EmptyRange { what: "range" };
    let length = DefinitionProblem::EmptyRange { what: "length" };
    refused(&FieldDefinition::integer("a").range(2, 1), &range);
    refused(&FieldDefinition::decimal("a").range(2, 1), &range);
    refused(
        &FieldDefinition::date("a").range(date!(2026 - 01 - 02), date!(2026 - 01 - 01)),
        &range,
    );
    refused(
        &FieldDefinition::text("a").length(RangeInclusive::new(5, 4)),
        &length,
    );
    refused(
        &FieldDefinition::date("a").range(date!(-001 - 01 - 01), date!(2026 - 01 - 01)),
        &DefinitionProblem::BeforeYearZero,
    );
    assert_eq!(problem(&FieldDefinition::integer("a").range(1, 1)), None);
}

#[test]
fn texts_in_an_index_are_short() {
    assert_eq!(FieldDefinition::text("a").text_length_max(), 10_000);
    assert_eq!(FieldDefinition::text("a").indexed().text_length_max(), 512);
    assert_eq!(
        FieldDefinition::text("a")
            .unique()
            .length(0..=20)
            .text_length_max(),
        20
    );
    assert_eq!(
        problem(&FieldDefinition::text("a").indexed().length(0..=512)),
        None
    );
    for keyed in [
        FieldDefinition::text("a").indexed(),
        FieldDefinition::text("a").unique(),
    ] {
        let found = problem(&keyed.length(0..=513));
        assert!(matches!(
            found,
            Some(DefinitionProblem::BeyondLimit {
                given: 513,
                max: 512,
                ..
            })
        ));
    }
    assert_eq!(
        problem(&FieldDefinition::text("a").length(0..=100_000)),
        None
    );
    assert!(problem(&FieldDefinition::text("a").length(0..=100_001)).is_some());
}

#[test]
fn limits_of_other_rules_are_held() {
    assert_eq!(problem(&FieldDefinition::decimal("a").scale(27)), None);
    assert!(problem(&FieldDefinition::decimal("a").scale(28)).is_some());
    assert_eq!(
        problem(&FieldDefinition::json("a").bytes_max(256 * 1024)),
        None
    );
    assert!(problem(&FieldDefinition::json("a").bytes_max(256 * 1024 + 1)).is_some());
    refused(
        &FieldDefinition::formula("a", " "),
        &DefinitionProblem::EmptyFormula,
    );
    assert!(problem(&FieldDefinition::formula("a", "1".repeat(4_001))).is_some());
}

#[test]
fn patterns_that_would_run_away_are_refused() {
    for pattern in [r"(a)\1", "(?=a)", "(", r"(\w{500}){500}", "a{1000000}"] {
        let found = problem(&FieldDefinition::text("a").pattern(pattern));
        assert!(
            matches!(found, Some(DefinitionProblem::Pattern { .. })),
            "{pattern}"
        );
    }
    assert_eq!(
        problem(&FieldDefinition::text("a").pattern("^(a+)+$")),
        None
    );
}

#[test]
fn options_are_checked_one_by_one() {
    let none: [&str; 0] = [];
    refused(
        &FieldDefinition::one_of("a", none),
        &DefinitionProblem::NoOptions,
    );
    let many = (0..1_001).map(|number| number.to_string());
    assert!(problem(&FieldDefinition::one_of("a", many)).is_some());
    for (options, place) in [
        (vec![EnumOption::from("x"), EnumOption::from("x")], 2),
        (vec![EnumOption::from("")], 1),
        (vec![EnumOption::from("x".repeat(101))], 1),
        (vec![EnumOption::from("x\0")], 1),
        (vec![EnumOption::labelled("x", "y".repeat(201))], 1),
        (vec![EnumOption::labelled("x", "\0")], 1),
    ] {
        match problem(&FieldDefinition::one_of("a", options)) {
            Some(DefinitionProblem::Option { number, .. }) => assert_eq!(number, place),
            other => unreachable!("{other:?}"),
        }
    }
}

#[test]
fn a_default_must_be_a_value_of_the_field() {
    for definition in [
        FieldDefinition::text("a").default_value("x").length(2..=3),
        FieldDefinition::integer("a").default_value("1"),
        FieldDefinition::one_of("a", ["x"]).default_value("y"),
        FieldDefinition::custom("a", "code")
            .default_value("abc")
            .custom_options(json!({"length": 2})),
    ] {
        let found = problem(&definition);
        assert!(
            matches!(found, Some(DefinitionProblem::Default(_))),
            "{found:?}"
        );
    }
    refused(
        &FieldDefinition::integer("a").range(1, 2).default_value(3),
        &DefinitionProblem::Default(CellProblem::AboveMaximum {
            maximum: "2".into(),
        }),
    );
    assert_eq!(
        problem(&FieldDefinition::date("a").default_value("2026-01-31")),
        None
    );
    assert_eq!(
        FieldDefinition::json("a").default_value(Json::Null).default,
        None
    );
}

#[test]
fn a_custom_type_must_be_registered() {
    let definition = FieldDefinition::custom("a", "cod");
    match problem(&definition) {
        Some(DefinitionProblem::UnknownType { name, nearest }) => {
            assert_eq!((name.as_str(), nearest.as_deref()), ("cod", Some("code")));
        }
        other => unreachable!("{other:?}"),
    }
    let error = definition.check(&types()).unwrap_err().to_string();
    assert!(
        error.contains("`cod`") && error.contains("`code`"),
        "{error}"
    );
}
