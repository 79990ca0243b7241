// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! Filters held against a register, with the path to each fault.

use serde_json::{Value as Json, json};

use super::*;
use crate::field::FieldDefinition;
use crate::keys::{FieldKey, RegisterKey};
use crate::register::BuildState;

/// A register with an indexed text, an indexed number, a note without an index, and a reference that
/// leads nowhere.
pub(crate) fn register() -> LoadedRegister {
    let field = |key, definition, kind, index| Field {
        key: FieldKey(key),
        definition,
        kind,
        index,
        unique_state: BuildState::None,
        search: BuildState::None,
    };
    LoadedRegister {
        key: RegisterKey(7),
        name: "invoices".to_owned(),
        label: None,
        description: None,
        keeps_history: false,
        version: 1,
        fields: vec![
            field(
                17,
                FieldDefinition::text("status"),
                ValueKind::Text,
                BuildState::Ready,
            ),
            field(
                18,
                FieldDefinition::decimal("total"),
                ValueKind::Decimal,
                BuildState::Ready,
            ),
            field(
                19,
                FieldDefinition::text("note"),
                ValueKind::Text,
                BuildState::None,
            ),
            field(
                20,
                FieldDefinition::date("due"),
                ValueKind::Date,
                BuildState::Building,
            ),
            field(
                21,
                FieldDefinition::json("extra"),
                ValueKind::Json,
                BuildState::None,
            ),
        ],
        relationships: Vec::new(),
    }
}

/// A filter of [`register`].
pub(crate) fn checked(json: &Json) -> Result<CheckedFilter, QueryError> {
    let filter = Filter::from_json(json).unwrap();
    let related = RelatedRegisters::default();
    check(&filter, &register(), &related, &TypeRegistry::default())
}

fn fault(json: &Json) -> (String, FilterProblem) {
    match checked(json).err() {
        Some(QueryError::Filter { path, problem }) => (path, problem),
        _ => panic!("{json} was not refused as a filter"),
    }
}

#[test]
fn operands_are_read_by_the_kind_of_the_field() {
    let CheckedFilter::Test(test) = checked(&json!({"field": "total", "gte": "12.5"})).unwrap()
    else {
        panic!("a comparison is one test");
    };
    assert_eq!(test.column, Column::Field(1));
    assert!(test.operands == [Value::Decimal("12.5".parse().unwrap())]);

    let CheckedFilter::Test(test) =
        checked(&json!({"field": "created_at", "lt": "2026-01-31"})).unwrap()
    else {
        panic!("a comparison is one test");
    };
    let day = time::macros::datetime!(2026-01-31 00:00 UTC);
    assert!(test.operands == [Value::Instant(day)]);
}

#[test]
fn an_id_is_written_in_one_form() {
    let dashed = "0198c5c0-7c00-7000-8000-000000000001";
    assert!(checked(&json!({"field": "id", "eq": dashed})).is_ok());
    let bare = dashed.replace('-', "");
    for text in [bare, format!("{{{dashed}}}"), format!("urn:uuid:{dashed}")] {
        assert_eq!(fault(&json!({"field": "id", "eq": text})).0, "/eq");
    }
}

#[test]
fn a_fault_is_told_with_its_path() {
    for (json, path) in [
        (json!({"field": "statsu", "eq": "paid"}), "/field"),
        (
            json!({"and": [{"field": "status", "eq": "a"}, {"field": "due", "in": ["2026-01-01", "soon"]}]}),
            "/and/1/in/1",
        ),
        (json!({"field": "total", "gte": 1, "lt": "many"}), "/lt"),
        (
            json!({"not": {"field": "total", "contains": "1"}}),
            "/not/contains",
        ),
        (json!({"field": "extra", "eq": {}}), "/eq"),
        (json!({"field": "nobody", "is_null": false}), "/field"),
        (
            json!({"field": "due", "between": ["2026-01-01", null]}),
            "/between/1",
        ),
        (
            json!({"field": "status", "starts_with": "\0"}),
            "/starts_with",
        ),
        (
            json!({"related": "client", "where": {"or": []}}),
            "/related",
        ),
        (json!({"field": "id", "eq": "x"}), "/eq"),
        (json!({"field": "version", "eq": "1"}), "/eq"),
    ] {
        assert_eq!(fault(&json).0, path, "{json}");
    }
}

#[test]
fn an_unknown_field_names_a_similar_one() {
    let (_, problem) = fault(&json!({"field": "statsu", "eq": "paid"}));
    assert_eq!(
        problem.to_string(),
        "there is no field `statsu`; did you mean `status`?"
    );
}

#[test]
fn what_every_row_has_is_found_by_its_name() {
    let register = register();
    for (name, column) in SYSTEM {
        assert_eq!(Column::find(&register, name), Some(column));
        assert_eq!(column.name(&register), name);
    }
    assert_eq!(Column::find(&register, "note"), Some(Column::Field(2)));
    assert_eq!(Column::find(&register, ""), None);
}

#[test]
fn an_error_shows_no_operand() {
    let json = json!({"field": "total", "eq": "s3cret"});
    let error = checked(&json).err().unwrap();
    assert!(!format!("{error} {error:?}").contains("s3cret"));
}
