// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! Asks the library and the evaluator the same, in every way in which it can be asked: scrolled, by the
//! number of the page, counted, by facets, groups and aggregates.

use std::collections::BTreeMap;

use fastrand::Rng;
use forktex_data::{Aggregate, Cell, Count, Filter, Register, Row as FoundRow, RowQuery, Value};
use futures_util::TryStreamExt as _;

use crate::cells::{self, Field, Kind, Plain, Row, State};
use crate::evaluator::{self, Question};
use crate::questions;

/// Asks so many random questions.
pub(crate) async fn many(
    register: &Register,
    fields: &[Field],
    rows: &[Row],
    random: &mut Rng,
    count: usize,
) {
    for _ in 0..count {
        let question = questions::question(random, fields);
        let expected = evaluator::select(fields, rows, &question);
        let asked = Asked {
            register,
            fields,
            question: &question,
            expected: &expected,
        };
        asked.scrolled(u32::from(random.u8(1..12))).await;
        asked.numbered(u32::from(random.u8(1..12))).await;
        asked.streamed().await;
        asked.counted(&fields[random.usize(..fields.len())]).await;
        asked.aggregated().await;
        asked.grouped(&fields[random.usize(..fields.len())]).await;
    }
}

struct Asked<'a> {
    register: &'a Register,
    fields: &'a [Field],
    question: &'a Question,
    expected: &'a [&'a Row],
}

impl Asked<'_> {
    fn query(&self) -> RowQuery {
        let order_by = self.question.order_by.iter();
        order_by.fold(self.unordered(), |query, key| query.order_by(key.as_str()))
    }

    fn unordered(&self) -> RowQuery {
        let mut query = RowQuery::new(self.register);
        if let Some(filter) = &self.question.filter {
            query = query.filter(Filter::from_json(filter).unwrap());
        }
        match &self.question.search {
            Some(words) => query.search(words.as_str()),
            None => query,
        }
    }

    /// The union of all pages is the whole list, in its order.
    async fn scrolled(&self, size: u32) {
        let mut found = Vec::new();
        let mut page = self.query().scroll(size).await.unwrap();
        loop {
            assert!(page.rows.len() <= usize::try_from(size).unwrap());
            found.append(&mut page.rows);
            assert!(
                found.len() <= self.expected.len(),
                "too many rows by {:?}",
                self.question
            );
            let Some(cursor) = page.next else { break };
            page = self.query().scroll_after(cursor, size).await.unwrap();
            assert!(
                !page.rows.is_empty(),
                "a cursor leads to rows: {:?}",
                self.question
            );
        }
        self.assert_rows(&found, "scrolled");
    }

    async fn numbered(&self, size: u32) {
        let mut found = Vec::new();
        for number in 1.. {
            let page = self.query().page(number, size).await.unwrap();
            if page.rows.is_empty() {
                break;
            }
            found.extend(page.rows);
        }
        self.assert_rows(&found, "by numbers");
    }

    async fn streamed(&self) {
        let found: Vec<FoundRow> = self.query().stream().try_collect().await.unwrap();
        self.assert_rows(&found, "as a stream");
        let first = self.query().first().await.unwrap();
        let first = first.map(|row| row.id.to_string());
        assert_eq!(
            first,
            self.expected.first().map(|row| row.id.clone()),
            "{:?}",
            self.question
        );
    }

    /// The count, exact, and how often each value of a field is there.
    async fn counted(&self, field: &Field) {
        let rows = u64::try_from(self.expected.len()).unwrap();
        assert_eq!(
            self.query().count_rows().await.unwrap(),
            rows,
            "{:?}",
            self.question
        );
        let found = self
            .query()
            .facets([field.name.as_str()])
            .count(Count::Exact);
        let found = found.scroll(1).await.unwrap();
        let total = found.total.unwrap();
        assert_eq!(
            (total.rows, total.is_exact),
            (rows, true),
            "{:?}",
            self.question
        );
        let counts: BTreeMap<Option<Plain>, u64> = found.facets[&field.name]
            .iter()
            .map(|facet| (plain(field.kind, facet.value.as_ref()), facet.count))
            .collect();
        let expected = evaluator::facet(self.expected, &field.name);
        assert_eq!(
            counts, expected,
            "facet {} by {:?}",
            field.name, self.question
        );
    }

    async fn aggregated(&self) {
        let mut query = self.query();
        let numbers = || self.fields.iter().filter(|field| field.kind.is_number());
        let ordered = || {
            self.fields
                .iter()
                .filter(|field| field.kind.is_ordered() && field.kind != Kind::Enum)
        };
        for field in numbers() {
            let sum = Aggregate::sum(field.name.as_str());
            query = query.aggregate(sum.named(format!("sum_{}", field.name)));
        }
        for field in ordered() {
            let name = field.name.as_str();
            query = query
                .aggregate(Aggregate::min(name).named(format!("min_{name}")))
                .aggregate(Aggregate::max(name).named(format!("max_{name}")));
        }
        let found = query.scroll(1).await.unwrap().aggregates;
        let of = |field: &Field, function: &str| {
            let name = format!("{function}_{}", field.name);
            plain(field.kind, found[&name].as_ref())
        };
        for field in numbers() {
            let sum = evaluator::sum(self.expected, &field.name).map(Plain::Number);
            assert_eq!(
                of(field, "sum"),
                sum,
                "the sum of {} by {:?}",
                field.name,
                self.question
            );
        }
        for field in ordered() {
            let (least, most) = evaluator::extremes(self.expected, &field.name).unzip();
            assert_eq!(
                of(field, "min"),
                least,
                "the least {} by {:?}",
                field.name,
                self.question
            );
            assert_eq!(
                of(field, "max"),
                most,
                "the greatest {} by {:?}",
                field.name,
                self.question
            );
        }
    }

    async fn grouped(&self, field: &Field) {
        // Groups have an order of their own.
        let query = self.unordered().group_by([field.name.as_str()]);
        let found = query.page(1, 500).await.unwrap();
        let counts: BTreeMap<Option<Plain>, u64> = found
            .groups
            .iter()
            .map(|group| {
                (
                    plain(field.kind, group.keys[&field.name].as_ref()),
                    group.count,
                )
            })
            .collect();
        let expected = evaluator::facet(self.expected, &field.name);
        assert_eq!(
            counts, expected,
            "groups of {} by {:?}",
            field.name, self.question
        );
    }

    /// The same rows, with the same cells, in the same order.
    fn assert_rows(&self, found: &[FoundRow], how: &str) {
        let ids: Vec<String> = found.iter().map(|row| row.id.to_string()).collect();
        let expected: Vec<&str> = self.expected.iter().map(|row| row.id.as_str()).collect();
        assert_eq!(ids, expected, "{how} by {:?}", self.question);
        for (found, expected) in found.iter().zip(self.expected) {
            for field in self.fields {
                let state = match found.cell(&field.name) {
                    Cell::Absent => State::Absent,
                    Cell::Null => State::Null,
                    Cell::Value(value) => {
                        State::Value(cells::from_json(field.kind, &value.to_json()))
                    }
                };
                assert_eq!(
                    state,
                    *expected.state(&field.name),
                    "{} of {}",
                    field.name,
                    expected.id
                );
            }
        }
    }
}

fn plain(kind: Kind, value: Option<&Value>) -> Option<Plain> {
    value.map(|value| cells::from_json(kind, &value.to_json()))
}
