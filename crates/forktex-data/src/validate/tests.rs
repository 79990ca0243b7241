// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! Whole drafts: everything that is wrong is told at once, and nothing is guessed.

use serde_json::json;
use uuid::Uuid;

use super::*;
use crate::field::FieldDefinition;
use crate::value::ValueKind;

fn field(key: i64, definition: FieldDefinition) -> Field {
    Field {
        key: FieldKey(key),
        kind: definition
            .kind(&TypeRegistry::default())
            .unwrap_or(ValueKind::Text),
        definition,
        index: BuildState::None,
        unique_state: BuildState::None,
        search: BuildState::None,
    }
}

fn invoice() -> Vec<Field> {
    let definitions = [
        FieldDefinition::text("title").required(),
        FieldDefinition::one_of("status", ["draft", "paid"]).default_value("draft"),
        FieldDefinition::decimal("net").scale(2),
        FieldDefinition::reference("client").required(),
        FieldDefinition::number("number"),
        FieldDefinition::formula("gross", "net * 1.2"),
        FieldDefinition::json("extra"),
    ];
    let fields = definitions.into_iter().zip(1..);
    fields
        .map(|(definition, key)| field(key, definition))
        .collect()
}

fn check(draft: &Draft, mode: DraftMode) -> Result<CheckedDraft, RowProblems> {
    check_draft(&invoice(), draft, mode, &TypeRegistry::default())
}

fn id(number: u128) -> RowId {
    RowId::from(Uuid::from_u128(number))
}

#[test]
fn a_new_row_gets_its_defaults_and_no_more() {
    let draft = Draft::new()
        .set("title", "a")
        .reference("client", id(1))
        .external_ref("x-1");
    let checked = check(&draft, DraftMode::Create).unwrap();
    assert_eq!(
        checked.cells,
        [
            (0, Cell::Value(Value::from("a"))),
            (1, Cell::Value(Value::from("draft"))),
        ]
    );
    assert_eq!(checked.references, [(3, vec![id(1)])]);
    assert_eq!(checked.external_ref, Some(Some("x-1".to_owned())));
}

#[test]
fn an_emptied_field_has_no_default() {
    let draft = Draft::new()
        .set("title", "a")
        .reference("client", id(1))
        .null("status");
    let checked = check(&draft, DraftMode::Create).unwrap();
    assert_eq!(checked.cells.get(1), Some(&(1, Cell::Null)));
}

#[test]
fn a_patch_says_only_what_it_says() {
    let checked = check(&Draft::new().null("extra"), DraftMode::Patch).unwrap();
    assert_eq!(checked.cells, [(6, Cell::Null)]);
    assert!(checked.references.is_empty() && checked.external_ref.is_none());
    let nothing = check(&Draft::new(), DraftMode::Patch).unwrap();
    assert!(nothing.cells.is_empty());
    let taken = check(&Draft::new().without_external_ref(), DraftMode::Patch).unwrap();
    assert_eq!(taken.external_ref, Some(None));
}

#[test]
fn a_patch_cannot_empty_what_is_required() {
    let draft = Draft::new().null("title").unset("client");
    let problems = check(&draft, DraftMode::Patch).unwrap_err();
    let found: Vec<_> = problems.iter().collect();
    assert_eq!(
        found,
        [
            ("title", &CellProblem::Required),
            ("client", &CellProblem::Required)
        ]
    );
}

#[test]
fn all_problems_of_a_row_are_told_at_once() {
    let draft = Draft::try_from(json!({
        "status": "lost", "net": "1.234", "client": 5, "number": 7, "gross": "1", "titl": "x",
        "id": "x", "created_at": "2026-01-31T00:00:00Z", "version": 3,
    }))
    .unwrap();
    let problems = check(&draft, DraftMode::Create).unwrap_err();
    let codes: Vec<_> = serde_json::to_value(&problems)
        .unwrap()
        .as_array()
        .unwrap()
        .iter()
        .map(|problem| format!("{} {}", problem["field"], problem["code"]).replace('"', ""))
        .collect();
    assert_eq!(
        codes,
        [
            "title required",
            "status not_an_option",
            "net scale",
            "client wrong_type",
            "number read_only",
            "gross read_only",
            "created_at read_only",
            "id read_only",
            "titl unknown_field",
            "version read_only",
        ]
    );
    let nearest = problems
        .iter()
        .find(|(name, _)| *name == "titl")
        .map(|(_, problem)| problem);
    let expected = CellProblem::UnknownField {
        nearest: Some("title".to_owned()),
    };
    assert_eq!(nearest, Some(&expected));
    let shown = problems.to_string();
    assert!(
        shown.contains("`title`") && shown.contains("9 more problems"),
        "{shown}"
    );
}

#[test]
fn a_draft_of_ten_thousand_names_is_refused_at_once() {
    let draft = (0..10_000).fold(Draft::new(), |draft, n| draft.set(format!("field_{n}"), 1));
    let problems = check(&draft, DraftMode::Patch).unwrap_err();
    assert_eq!(problems.len(), 100);
}

#[test]
fn the_reference_of_another_system_is_bounded() {
    for (text, problem) in [
        (String::new(), CellProblem::TooShort { length: 0, min: 1 }),
        ("a\0".to_owned(), CellProblem::NulCharacter),
        (
            "é".repeat(256),
            CellProblem::TooLong {
                length: 256,
                max: 255,
            },
        ),
    ] {
        let problems = check(&Draft::new().external_ref(text), DraftMode::Patch).unwrap_err();
        assert_eq!(
            problems.iter().collect::<Vec<_>>(),
            [("external_ref", &problem)]
        );
    }
    assert!(
        check(
            &Draft::new().external_ref("é".repeat(255)),
            DraftMode::Patch
        )
        .is_ok()
    );
}

#[test]
fn problems_show_no_values() {
    let secret = "hunter2-hunter2";
    let fields = vec![
        field(1, FieldDefinition::text("a").length(0..=3)),
        field(2, FieldDefinition::text("b").pattern("^x$")),
        field(3, FieldDefinition::integer("c")),
        field(4, FieldDefinition::one_of("d", ["x"])),
        field(5, FieldDefinition::date("e")),
        field(6, FieldDefinition::decimal("f")),
    ];
    let draft = ["a", "b", "c", "d", "e", "f"]
        .into_iter()
        .fold(Draft::new(), |draft, name| draft.set(name, secret));
    let types = TypeRegistry::default();
    let problems = check_draft(&fields, &draft, DraftMode::Create, &types).unwrap_err();
    assert_eq!(problems.len(), 6);
    let shown = format!(
        "{problems} {problems:?} {}",
        serde_json::to_string(&problems).unwrap()
    );
    assert!(!shown.contains("hunter2"), "{shown}");
}

#[test]
fn what_is_computed_is_brought_into_its_form() {
    let formula = field(1, FieldDefinition::formula("a", "1"));
    let third = rust_decimal::Decimal::from(1) / rust_decimal::Decimal::from(3);
    assert_eq!(
        check_computed(&formula, third.into()),
        Ok(Cell::Value(third.into()))
    );
    assert_eq!(
        check_computed(&formula, "\0".into()),
        Err(CellProblem::NulCharacter)
    );
    let long = "x".repeat(513);
    assert!(check_computed(&formula, long.clone().into()).is_ok());
    let indexed = field(1, FieldDefinition::formula("a", "1").indexed());
    let problem = CellProblem::TooLong {
        length: 513,
        max: 512,
    };
    assert_eq!(check_computed(&indexed, long.into()), Err(problem));
}

#[test]
fn a_row_is_at_most_a_mebibyte() {
    let cells = |bytes: usize| {
        let cell = Cell::Value(Value::Text("x".repeat(bytes)));
        BTreeMap::from([
            (FieldKey(1), cell),
            (FieldKey(2), Cell::Absent),
            (FieldKey(3), Cell::Null),
        ])
    };
    assert_eq!(check_row_bytes(&cells(1_000)), Ok(()));
    assert_eq!(check_row_bytes(&cells(1_000_000)), Ok(()));
    let problem = check_row_bytes(&cells(1_048_576));
    assert!(matches!(
        problem,
        Err(CellProblem::TooLarge { max: 1_048_576, .. })
    ));
}
