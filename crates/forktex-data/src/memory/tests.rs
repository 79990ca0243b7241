// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! Orders, windows and counts over a few rows in memory.

use std::collections::BTreeSet;

use serde_json::json;

use super::*;
use crate::capability::AggregateFunction;
use crate::cursor::Fingerprint;
use crate::field::FieldDefinition;
use crate::filter::Filter;
use crate::filter::check::CheckedFilter;
use crate::keys::{FieldKey, RegisterKey};
use crate::query::plan::{CheckedAggregate, Window};
use crate::search::Search;
use crate::sort::{SortDirection, SortKey};
use crate::value::ValueKind;
use crate::virtual_register::foreign_field;

const NAME: Column = Column::Field(0);
const TOTAL: Column = Column::Field(1);

pub(crate) fn register() -> LoadedRegister {
    let name = FieldDefinition::text("name").searchable();
    let total = FieldDefinition::decimal("total");
    LoadedRegister {
        key: RegisterKey::NONE,
        name: "invoices".to_owned(),
        label: None,
        description: None,
        keeps_history: false,
        version: 1,
        fields: vec![
            foreign_field(FieldKey(-1), name, ValueKind::Text),
            foreign_field(FieldKey(-2), total, ValueKind::Decimal),
        ],
        relationships: Vec::new(),
    }
}

/// Every row, in pages of two by the name.
pub(crate) fn query(register: &LoadedRegister) -> CheckedQuery {
    CheckedQuery {
        filter: CheckedFilter::And(Vec::new()),
        search: Search::None,
        sort: vec![key(NAME, SortDirection::Ascending)],
        archived: Archived::Exclude,
        count: Count::None,
        facets: Vec::new(),
        aggregates: Vec::new(),
        group_by: Vec::new(),
        fields: vec![0, 1],
        related: Vec::new(),
        window: Window::Scroll {
            size: 2,
            after: None,
        },
        fingerprint: Fingerprint::new(register, Uuid::nil(), &Filter::all(), &json!(null)),
    }
}

fn key(column: Column, direction: SortDirection) -> SortKey {
    SortKey { column, direction }
}

fn text(text: &str) -> Cell {
    Cell::Value(Value::from(text))
}

fn number(text: &str) -> Cell {
    Cell::Value(Value::Decimal(text.parse().unwrap()))
}

fn row(id: u128, name: Cell, total: Cell) -> MemoryRow {
    MemoryRow {
        id: Uuid::from_u128(id),
        version: 1,
        external_ref: None,
        created_at: OffsetDateTime::UNIX_EPOCH,
        updated_at: OffsetDateTime::UNIX_EPOCH,
        archived_at: None,
        cells: vec![name, total],
    }
}

fn rows() -> Vec<MemoryRow> {
    vec![
        row(1, text("b"), number("1.5")),
        row(2, Cell::Null, number("2")),
        row(3, text("B"), Cell::Absent),
        row(4, text("b"), number("1.50")),
        row(5, Cell::Absent, Cell::Null),
    ]
}

fn ids(result: &QueryResult) -> Vec<u128> {
    let rows = result.rows.iter();
    rows.map(|row| row.id.as_uuid().as_u128()).collect()
}

/// All pages of two, one after another.
fn scroll(query: &CheckedQuery) -> Vec<u128> {
    let register = register();
    let mut query = query.clone();
    let mut kinds: Vec<ValueKind> = query
        .sort
        .iter()
        .map(|key| key.column.kind(&register))
        .collect();
    kinds.push(ValueKind::Uuid);
    let mut all = Vec::new();
    loop {
        let result = answer(&register, rows(), &query).unwrap();
        all.extend(ids(&result));
        let Some(next) = result.next else {
            return all;
        };
        let after = next.decode(&query.fingerprint, &kinds).unwrap();
        query.window = Window::Scroll {
            size: 2,
            after: Some(after),
        };
    }
}

#[test]
fn rows_without_a_value_come_last_and_ties_go_by_the_id() {
    let query = query(&register());
    assert_eq!(scroll(&query), [3, 1, 4, 2, 5]);
}

#[test]
fn a_descending_order_is_the_exact_reverse() {
    let mut query = query(&register());
    query.sort = vec![key(NAME, SortDirection::Descending)];
    assert_eq!(scroll(&query), [5, 2, 4, 1, 3]);
}

#[test]
fn pages_of_several_keys_hold_each_row_once() {
    let mut query = query(&register());
    query.sort = vec![
        key(TOTAL, SortDirection::Descending),
        key(NAME, SortDirection::Ascending),
    ];
    let all = scroll(&query);
    assert_eq!(all, [3, 5, 2, 1, 4]);
    assert_eq!(all.iter().collect::<BTreeSet<_>>().len(), all.len());
}

#[test]
fn a_page_beyond_the_end_is_empty() {
    let register = register();
    let mut query = query(&register);
    query.window = Window::Page { number: 3, size: 2 };
    assert_eq!(ids(&answer(&register, rows(), &query).unwrap()), [5]);
    query.window = Window::Page { number: 4, size: 2 };
    let beyond = answer(&register, rows(), &query).unwrap();
    assert!(beyond.rows.is_empty() && beyond.next.is_none());
}

#[test]
fn a_count_is_of_all_rows_also_on_a_later_page() {
    let register = register();
    let mut query = query(&register);
    query.count = Count::Exact;
    query.window = Window::Scroll {
        size: 2,
        after: Some(vec![
            Some(Value::from("b")),
            Some(Uuid::from_u128(1).into()),
        ]),
    };
    let result = answer(&register, rows(), &query).unwrap();
    assert_eq!(result.total, Some(Total::exact(5)));
    assert_eq!(ids(&result), [4, 2]);
}

#[test]
fn facets_begin_with_the_most_frequent_value() {
    let register = register();
    let mut query = query(&register);
    query.facets = vec![0, 1];
    let facets = answer(&register, rows(), &query).unwrap().facets;
    let shown = |name: &str| -> Vec<(serde_json::Value, u64)> {
        let values = facets.get(name).unwrap().iter();
        values
            .map(|facet| (json!(facet.value), facet.count))
            .collect()
    };
    assert_eq!(
        shown("name"),
        [(json!("b"), 2), (json!(null), 2), (json!("B"), 1)]
    );
    assert_eq!(
        shown("total"),
        [(json!("1.5"), 2), (json!(null), 2), (json!("2"), 1)]
    );
}

#[test]
fn sums_are_exact_and_none_where_there_is_no_value() {
    let register = register();
    let mut query = query(&register);
    query.aggregates = [
        (AggregateFunction::Sum, Some(TOTAL)),
        (AggregateFunction::Average, Some(TOTAL)),
        (AggregateFunction::Count, Some(TOTAL)),
        (AggregateFunction::Max, Some(NAME)),
        (AggregateFunction::Count, None),
    ]
    .into_iter()
    .enumerate()
    .map(|(n, (function, column))| CheckedAggregate {
        name: format!("a{n}"),
        function,
        column,
    })
    .collect();
    let some = answer(&register, rows(), &query).unwrap().aggregates;
    assert_eq!(
        json!(some),
        json!({"a0": "5", "a1": "1.6666666667", "a2": 3, "a3": "b", "a4": 5})
    );
    let none = answer(&register, Vec::new(), &query).unwrap().aggregates;
    assert_eq!(
        json!(none),
        json!({"a0": null, "a1": null, "a2": 0, "a3": null, "a4": 0})
    );
}

#[test]
fn groups_come_by_their_keys() {
    let register = register();
    let mut query = query(&register);
    query.group_by = vec![NAME];
    let groups = answer(&register, rows(), &query).unwrap().groups;
    let counts: Vec<u64> = groups.iter().map(|group| group.count).collect();
    assert_eq!(counts, [1, 2, 2]);
    let last = groups.last().and_then(|group| group.keys.get("name"));
    assert_eq!(last, Some(&None));
}

#[test]
fn a_search_goes_by_the_beginnings_of_words() {
    let register = register();
    let mut query = query(&register);
    query.search = Search::Words(vec!["grü".to_owned()]);
    let found = row(1, text("Haus Grünegg"), Cell::Absent);
    assert!(matches(&register, &query, &found));
    let other = row(2, text("Ungrün"), Cell::Absent);
    assert!(!matches(&register, &query, &other));
}

#[test]
fn archived_rows_are_left_out_unless_they_are_asked_for() {
    let register = register();
    let mut query = query(&register);
    let mut archived = row(1, text("a"), Cell::Absent);
    archived.archived_at = Some(OffsetDateTime::UNIX_EPOCH);
    assert!(!matches(&register, &query, &archived));
    query.archived = Archived::Only;
    assert!(matches(&register, &query, &archived));
}
