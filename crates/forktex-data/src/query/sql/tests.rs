// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! The SQL text of each operator, and which indexes a query joins.

use serde_json::json;

use super::filter::{after_all_that_begin_with, escape_like, write_test_on};
use super::*;
use crate::cursor::Fingerprint;
use crate::filter::check::{self, Test};
use crate::query::Count;
use crate::query::page;
use crate::query::plan::Window;
use crate::query::stored::StoredSource;
use crate::sort::{SortDirection, SortKey};
use crate::value::Value;

fn written(operator: Operator, operands: &[Value], form: Form) -> (String, Vec<Bind>) {
    let test = Test {
        column: Column::ExternalRef,
        operator,
        operands: operands.to_vec(),
    };
    let expression = SqlExpression {
        sql: "x".to_owned(),
        form,
    };
    let mut writer = SqlWriter::default();
    write_test_on(&mut writer, &test, &expression);
    (writer.text().to_owned(), writer.binds().to_vec())
}

fn text(text: &str) -> Bind {
    Bind::Text(text.to_owned())
}

#[test]
fn every_comparison_binds_its_operand() {
    let one = [Value::from("o'clock")];
    for (operator, sql) in [
        (Operator::Eq, "x = $1::text"),
        (Operator::Ne, "x <> $1::text"),
        (Operator::Lt, "x < $1::text"),
        (Operator::Lte, "x <= $1::text"),
        (Operator::Gt, "x > $1::text"),
        (Operator::Gte, "x >= $1::text"),
    ] {
        let (written, binds) = written(operator, &one, Form::Text);
        assert_eq!(written, sql);
        assert_eq!(binds, [text("o'clock")]);
    }
}

#[test]
fn a_list_is_one_bound_value_whatever_its_length() {
    let numbers = [Value::from(1), Value::from(2)];
    let (sql, binds) = written(Operator::In, &numbers, Form::Number);
    assert_eq!(sql, "x = ANY ($1::text[]::numeric[])");
    assert_eq!(binds, [Bind::Texts(vec!["1".to_owned(), "2".to_owned()])]);
    let (sql, _) = written(Operator::NotIn, &[Value::from("a")], Form::Text);
    assert_eq!(sql, "x <> ALL ($1::text[])");
    // An empty cell differs from nothing, and is not there to differ.
    let (sql, binds) = written(Operator::NotIn, &[], Form::Text);
    assert_eq!((sql.as_str(), binds.len()), ("x IS NOT NULL", 0));
}

#[test]
fn numbers_of_an_index_are_compared_by_their_sorting_text() {
    let bounds = [Value::from(-5), Value::from(5)];
    let (sql, binds) = written(Operator::Between, &bounds, Form::NumberKey);
    assert_eq!(
        sql,
        "x BETWEEN forktex_data.number_key($1::text::numeric) \
         AND forktex_data.number_key($2::text::numeric)"
    );
    assert_eq!(binds, [text("-5"), text("5")]);
}

#[test]
fn parts_of_texts_are_literal() {
    assert_eq!(escape_like(r"50%_\'"), r"50\%\_\\'");
    let part = [Value::from("50%")];
    let (sql, binds) = written(Operator::Contains, &part, Form::Text);
    assert_eq!(sql, "x LIKE $1::text");
    assert_eq!(binds, [text(r"%50\%%")]);
    let (sql, binds) = written(Operator::EndsWith, &part, Form::Text);
    assert_eq!(sql, "x LIKE $1::text");
    assert_eq!(binds, [text(r"%50\%")]);
    let (sql, binds) = written(Operator::Icontains, &[Value::from("ÄB")], Form::Text);
    assert!(sql.starts_with("(lower(x COLLATE \"und-x-icu\")"));
    assert_eq!(binds, [text("%äb%")]);
}

#[test]
fn a_beginning_is_a_range() {
    let (sql, binds) = written(Operator::StartsWith, &[Value::from("ab")], Form::Text);
    assert_eq!(sql, "x >= $1::text AND x < $2::text");
    assert_eq!(binds, [text("ab"), text("ac")]);
    let after = |part| after_all_that_begin_with(part);
    assert_eq!(after(""), None);
    assert_eq!(after("\u{10FFFF}"), None);
    assert_eq!(after("a\u{10FFFF}").as_deref(), Some("b"));
    assert_eq!(after("\u{D7FF}").as_deref(), Some("\u{E000}"));
}

#[test]
fn emptiness_binds_nothing() {
    let (sql, binds) = written(Operator::IsEmpty, &[], Form::Text);
    assert_eq!(sql, "x IS NULL");
    assert!(binds.is_empty());
}

#[test]
fn a_pattern_without_words_is_like_nothing() {
    assert_eq!(
        written(Operator::Fuzzy, &["--".into()], Form::Text).0,
        "FALSE"
    );
    let (sql, binds) = written(Operator::Fuzzy, &["acme ltd".into()], Form::Text);
    assert_eq!(sql.matches("EXISTS").count(), 2);
    // How long a word is makes no other statement.
    assert_eq!(binds.len(), 4);
    assert_eq!(
        sql,
        written(Operator::Fuzzy, &["ab z".into()], Form::Text).0
    );
}

#[test]
fn each_form_has_its_canonical_text() {
    assert_eq!(Form::Number.text("n"), "trim_scale(n)::text");
    assert_eq!(Form::Text.text("t"), "t");
    assert_eq!(Form::Uuid.operand("$1"), "$1::text::uuid");
    assert_eq!(Form::Instant.operands("$1"), "$1::text[]::timestamptz[]");
}

#[test]
fn conditions_that_all_must_hold_are_taken_one_by_one() {
    let test = |operator| {
        CheckedFilter::Test(Test {
            column: Column::Version,
            operator,
            operands: Vec::new(),
        })
    };
    let filter = CheckedFilter::And(vec![
        test(Operator::Eq),
        CheckedFilter::And(vec![test(Operator::Lt), CheckedFilter::Or(Vec::new())]),
        test(Operator::Gt),
    ]);
    let words: Vec<&str> = conjuncts(&filter)
        .into_iter()
        .map(|member| match member {
            CheckedFilter::Test(test) => test.operator.word(),
            _ => "or",
        })
        .collect();
    assert_eq!(words, ["eq", "lt", "or", "gt"]);
}

/// The statement of a list of the fixture register: `FROM` and all after it.
fn listed(filter: &serde_json::Value, sort: Vec<SortKey>) -> String {
    listed_by(Lead::Any, filter, sort)
}

fn listed_by(lead: Lead, filter: &serde_json::Value, sort: Vec<SortKey>) -> String {
    let register = check::tests::register();
    let source = StoredSource::new(&register);
    let query = list(&register, filter, sort);
    let mut writer = SqlWriter::default();
    Selection::sorted(&source, &query, lead).write(&mut writer);
    writer.text().to_owned()
}

/// A list of a register with the fields of the fixture.
pub(crate) fn list(
    register: &LoadedRegister,
    filter: &serde_json::Value,
    sort: Vec<SortKey>,
) -> CheckedQuery {
    CheckedQuery {
        filter: check::tests::checked(filter).unwrap(),
        search: Search::None,
        sort,
        archived: Archived::Exclude,
        count: Count::None,
        facets: Vec::new(),
        aggregates: Vec::new(),
        group_by: Vec::new(),
        fields: Vec::new(),
        related: Vec::new(),
        window: Window::Scroll {
            size: 10,
            after: None,
        },
        fingerprint: Fingerprint::new(
            register,
            uuid::Uuid::nil(),
            &crate::filter::Filter::all(),
            &json!(null),
        ),
    }
}

fn by_total() -> Vec<SortKey> {
    vec![SortKey {
        column: Column::Field(1),
        direction: SortDirection::Ascending,
    }]
}

#[test]
fn the_order_leads_and_each_row_is_asked_for_the_rest() {
    let filter = json!({"and": [
        {"field": "total", "gt": 5},
        {"field": "status", "eq": "paid"},
    ]});
    assert_eq!(
        listed_by(Lead::Sort, &filter, by_total()),
        "\nFROM forktex_data.value_number s1\
         \nCROSS JOIN LATERAL (SELECT e.row_id FROM forktex_data.value_text e\
         \nWHERE e.field_key = $1::bigint AND e.row_id = s1.row_id AND e.value = $2::text OFFSET 0) s2\
         \nCROSS JOIN LATERAL (SELECT r.* FROM forktex_data.row r\
         \nWHERE r.register_key = $3::bigint AND r.id = s2.row_id AND r.archived_at IS NULL\
         \nOFFSET 0) r\
         \nWHERE s1.field_key = $4::bigint AND s1.sort_key > forktex_data.number_key($5::text::numeric)"
    );
}

#[test]
fn behind_the_order_a_range_and_a_long_list_are_asked_of_the_row() {
    let by_status = vec![SortKey {
        column: Column::Field(0),
        direction: SortDirection::Descending,
    }];
    let range = json!({"field": "total", "gt": 5});
    let sql = listed_by(Lead::Sort, &range, by_status.clone());
    assert!(!sql.contains("value_number"), "{sql}");
    assert!(sql.contains("AND (r.cells ->> $2::text)::numeric > $3::text::numeric\nOFFSET 0) r"));
    let list = |count: i32| json!({"field": "total", "in": (0..count).collect::<Vec<_>>()});
    let short = listed_by(Lead::Sort, &list(16), by_status.clone());
    assert!(
        short.contains("FROM forktex_data.value_number e"),
        "{short}"
    );
    let long = listed_by(Lead::Sort, &list(17), by_status);
    assert!(!long.contains("value_number"), "{long}");
}

/// A register with the fields of the fixture under other keys.
fn other_register() -> LoadedRegister {
    let mut register = check::tests::register();
    register.key.0 += 1_000;
    for field in &mut register.fields {
        field.key.0 += 2_000;
    }
    register
}

#[test]
fn all_registers_share_the_text_of_a_query() {
    let filter = json!({"and": [
        {"field": "total", "gt": 5},
        {"field": "status", "eq": "paid"},
        {"field": "note", "is_absent": true},
        {"not": {"field": "extra", "is_null": true}},
        {"or": [{"field": "due", "gt": "2026-01-01"}, {"field": "total", "lt": 3}]},
    ]});
    let by_note = vec![SortKey {
        column: Column::Field(2),
        direction: SortDirection::Ascending,
    }];
    for (lead, sort) in [
        (Lead::Any, Vec::new()),
        (Lead::Any, by_note),
        (Lead::Sort, by_total()),
        (Lead::Filter, by_total()),
    ] {
        let written = |register: &LoadedRegister| {
            let source = StoredSource::new(register);
            let query = list(register, &filter, sort.clone());
            page::statement(&source, &query, lead, page::Region::Whole, 51)
        };
        let (one, other) = (
            written(&check::tests::register()),
            written(&other_register()),
        );
        assert_eq!(one.text(), other.text());
        assert_ne!(one.binds(), other.binds());
    }
}

#[test]
fn all_registers_share_the_text_that_counts_the_rarest_value() {
    let counted = |register: &LoadedRegister| {
        let source = StoredSource::new(register);
        let paid = json!({"field": "status", "eq": "paid"});
        match choose(&source, &list(register, &paid, by_total())) {
            LeadChoice::Counted(writer) => writer.text().to_owned(),
            LeadChoice::Known(_) => panic!("the rows with the value are counted"),
        }
    };
    assert_eq!(
        counted(&check::tests::register()),
        counted(&other_register())
    );
}

#[test]
fn a_search_binds_the_register_and_how_long_its_words_are() {
    let searched = |words: &[&str]| {
        let register = check::tests::register();
        let source = StoredSource::new(&register);
        let mut query = list(&register, &json!({"field": "note", "eq": "x"}), Vec::new());
        query.search = Search::Fuzzy(words.iter().map(|word| (*word).to_owned()).collect());
        let mut writer = SqlWriter::default();
        Selection::sorted(&source, &query, Lead::Any).write(&mut writer);
        writer.text().to_owned()
    };
    let sql = searched(&["acme"]);
    assert!(sql.contains("w.register_key = $1::bigint"), "{sql}");
    assert_eq!(sql, searched(&["incorporated"]));
}

#[test]
fn what_a_filter_finds_is_sorted_without_a_look_at_the_index_of_the_order() {
    let filter = json!({"field": "status", "eq": "paid"});
    let sql = listed_by(Lead::Filter, &filter, by_total());
    assert!(sql.contains("JOIN forktex_data.value_text s1") && !sql.contains("value_number"));
}

#[test]
fn what_leads_depends_on_how_many_rows_have_the_value() {
    let register = check::tests::register();
    let source = StoredSource::new(&register);
    let chosen = |filter, sort| choose(&source, &list(&register, &filter, sort));
    let all = json!({"field": "total", "gt": 5});
    assert!(matches!(
        chosen(all.clone(), by_total()),
        LeadChoice::Known(Lead::Sort)
    ));
    assert!(matches!(
        chosen(all, Vec::new()),
        LeadChoice::Known(Lead::Any)
    ));
    let paid = json!({"field": "status", "eq": "paid"});
    let LeadChoice::Counted(writer) = chosen(paid, by_total()) else {
        panic!("the rows with the value are counted");
    };
    assert_eq!(
        writer.text(),
        "SELECT least((SELECT count(*) FROM (SELECT 1 FROM forktex_data.value_text e \
         WHERE e.field_key = $1::bigint AND e.value = $2::text LIMIT 1000) some_rows)) AS rarest"
    );
    assert_eq!((lead_by(999), lead_by(1_000)), (Lead::Filter, Lead::Sort));
}

#[test]
fn an_indexed_field_is_asked_of_its_side_table() {
    assert_eq!(
        listed(&json!({"field": "status", "eq": "paid"}), Vec::new()),
        "\nFROM forktex_data.row r\
         \nJOIN forktex_data.value_text s1 ON s1.field_key = $1::bigint AND s1.row_id = r.id \
         AND s1.value = $2::text\
         \nWHERE r.register_key = $3::bigint AND r.archived_at IS NULL"
    );
}

#[test]
fn a_range_of_a_side_table_is_read_once_and_not_for_each_row() {
    assert_eq!(
        listed(&json!({"field": "total", "gt": 5}), Vec::new()),
        "\nFROM forktex_data.row r\
         \nJOIN (SELECT e.row_id, e.sort_key FROM forktex_data.value_number e\
         \nWHERE e.field_key = $1::bigint AND e.sort_key > forktex_data.number_key($2::text::numeric) \
         OFFSET 0) s1 ON s1.row_id = r.id\
         \nWHERE r.register_key = $3::bigint AND r.archived_at IS NULL"
    );
    let choice = json!({"or": [
        {"field": "total", "gt": 5},
        {"field": "status", "eq": "paid"},
    ]});
    assert!(listed(&choice, Vec::new()).ends_with(" OFFSET 0)"));
}

#[test]
fn one_side_table_serves_the_range_and_the_order() {
    let sql = listed_by(Lead::Sort, &json!({"field": "total", "gt": 5}), by_total());
    assert_eq!(sql.matches("value_number").count(), 1);
    assert!(sql.ends_with("s1.sort_key > forktex_data.number_key($3::text::numeric)"));
}

#[test]
fn beside_a_value_a_range_is_asked_of_the_rows_that_are_left() {
    let filter = json!({"and": [
        {"field": "total", "gt": 5},
        {"field": "status", "eq": "paid"},
    ]});
    let sql = listed(&filter, Vec::new());
    assert_eq!(sql.matches("JOIN").count(), 1);
    assert!(sql.contains("AND (r.cells ->> $4::text)::numeric > $5::text::numeric"));
}

#[test]
fn alternatives_that_all_have_an_index_are_looked_up_by_them() {
    let filter = json!({"or": [
        {"field": "total", "eq": 5},
        {"field": "status", "eq": "paid"},
    ]});
    let sql = listed(&filter, Vec::new());
    assert!(sql.contains("r.id IN (SELECT e.row_id FROM forktex_data.value_number e"));
    assert!(sql.contains(" UNION ALL SELECT e.row_id FROM forktex_data.value_text e"));
    assert!(!sql.contains("OFFSET"));
}

#[test]
fn a_complement_takes_in_what_is_empty() {
    let sql = listed(&json!({"not": {"field": "note", "eq": "x"}}), Vec::new());
    assert!(sql.ends_with("AND (((r.cells ->> $2::text) COLLATE \"C\") = $3::text) IS NOT TRUE"));
}

#[test]
fn the_three_states_of_a_cell_are_kept_apart() {
    for (word, condition) in [
        ("is_empty", "((r.cells ->> $2::text) COLLATE \"C\") IS NULL"),
        ("is_null", "((r.cells -> $2::text = 'null'::jsonb) IS TRUE)"),
        ("is_absent", "(NOT r.cells ? $2::text)"),
    ] {
        let sql = listed(&json!({"field": "note", word: true}), Vec::new());
        assert!(sql.ends_with(&format!("AND {condition}")), "{sql}");
    }
}

#[test]
fn the_instant_of_creation_is_asked_through_the_id() {
    let filter = json!({"field": "created_at", "gte": "2026-01-01"});
    let sql = listed(&filter, Vec::new());
    assert!(sql.ends_with("AND r.id >= $2::uuid"));
}

#[test]
fn no_value_and_no_name_gets_into_the_text() {
    let evil = "'; DROP TABLE forktex_data.row; --";
    let sql = listed(&json!({"field": "status", "in": [evil]}), Vec::new());
    assert!(!sql.contains("DROP"));
}
