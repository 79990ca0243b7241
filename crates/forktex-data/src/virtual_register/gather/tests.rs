// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! Sources that give too much, too little, twice, in a wrong order, or no end.

use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;

use super::*;
use crate::field::FieldDefinition;
use crate::operator::Operator;
use crate::query::plan::{Count, Window};

/// Numbers from 0, in pages of ten, in the order that is said or in another.
struct Numbers {
    numbers: Vec<i64>,
    pages: AtomicUsize,
}

impl Numbers {
    fn new(numbers: impl IntoIterator<Item = i64>) -> Self {
        Self {
            numbers: numbers.into_iter().collect(),
            pages: AtomicUsize::new(0),
        }
    }
}

#[async_trait]
impl VirtualRegister for Numbers {
    fn fields(&self) -> Vec<FieldDefinition> {
        vec![
            FieldDefinition::text("name"),
            FieldDefinition::decimal("total"),
        ]
    }

    async fn fetch(
        &self,
        _tenant: Uuid,
        request: &VirtualRequest,
    ) -> Result<VirtualPage, VirtualError> {
        self.pages.fetch_add(1, Ordering::Relaxed);
        let from = match &request.position {
            VirtualPosition::Offset(rows) => usize::try_from(*rows).unwrap(),
            _ => 0,
        };
        let numbers = self.numbers.iter().skip(from).take(10);
        let rows = numbers.map(|number| VirtualRow::new(*number).set("name", name(*number)));
        Ok(VirtualPage::new(rows.collect::<Vec<_>>()))
    }
}

fn name(number: i64) -> String {
    format!("{number:03}")
}

fn rows(ids: std::ops::Range<i64>) -> impl Iterator<Item = VirtualRow> {
    ids.map(VirtualRow::new)
}

async fn read(
    source: &Numbers,
    capabilities: VirtualCapabilities,
    change: impl FnOnce(&mut CheckedQuery),
) -> Result<Vec<i64>, VirtualError> {
    let types = TypeRegistry::default();
    let register = crate::virtual_register::load("numbers", source, &types).unwrap();
    let mut query = memory::tests::query(&register);
    change(&mut query);
    let reader = Reader {
        register: &register,
        source,
        types: &types,
        tenant: Uuid::nil(),
        capabilities,
    };
    let push = Push::new(&register, &reader.capabilities, &query);
    let rows = reader.matching(&query, &push).await?;
    let ids = rows.iter().map(|row| super::super::integer_of_uuid(row.id));
    Ok(ids.map(Option::unwrap).collect())
}

fn by_offset() -> VirtualCapabilities {
    VirtualCapabilities::new().paging(Paging::Offset)
}

#[tokio::test]
async fn every_page_is_read_where_the_source_keeps_no_order() {
    let source = Numbers::new((0..35).rev());
    let read = read(&source, by_offset(), |_| {}).await.unwrap();
    assert_eq!(read.len(), 35);
    assert_eq!(source.pages.load(Ordering::Relaxed), 5);
}

#[tokio::test]
async fn reading_ends_once_the_first_rows_are_certain() {
    let source = Numbers::new(0..35);
    let capabilities = by_offset().sorts_by(["name"]);
    let read = read(&source, capabilities, |_| {}).await.unwrap();
    assert!(read.starts_with(&[0, 1, 2]));
    assert_eq!(source.pages.load(Ordering::Relaxed), 1);
}

#[tokio::test]
async fn whatever_is_counted_is_read_to_the_end() {
    let source = Numbers::new(0..35);
    let capabilities = by_offset().sorts_by(["name"]);
    let counted = |query: &mut CheckedQuery| query.count = Count::Exact;
    let read = read(&source, capabilities, counted).await.unwrap();
    assert_eq!(read.len(), 35);
}

#[tokio::test]
async fn an_order_that_is_not_kept_is_found_out() {
    let source = Numbers::new((0..35).rev());
    let capabilities = by_offset().sorts_by(["name"]);
    let refused = read(&source, capabilities, |_| {}).await;
    assert!(matches!(refused, Err(VirtualError::Misordered { field }) if field == "name"));
}

#[tokio::test]
async fn rows_before_the_cursor_are_not_needed() {
    let source = Numbers::new(0..35);
    let capabilities = by_offset().sorts_by(["name"]);
    let after = |query: &mut CheckedQuery| {
        query.window = Window::Scroll {
            size: 2,
            after: Some(vec![
                Some(name(20).into()),
                Some(super::super::request::uuid_of_integer(20).into()),
            ]),
        };
    };
    let read = read(&source, capabilities, after).await.unwrap();
    assert!(read.starts_with(&[21, 22, 23]), "{read:?}");
}

#[test]
fn a_cursor_is_pushed_only_where_no_row_can_be_lost() {
    let source = Numbers::new(0..1);
    let register =
        crate::virtual_register::load("numbers", &source, &TypeRegistry::default()).unwrap();
    let capabilities = by_offset()
        .sorts_by(["name"])
        .filters("name", [Operator::Gte, Operator::Lte]);
    let mut query = memory::tests::query(&register);
    query.window = Window::Scroll {
        size: 2,
        after: Some(vec![Some("b".into()), Some(Uuid::nil().into())]),
    };
    // The name is no required field, and rows without one come last.
    let push = Push::new(&register, &capabilities, &query);
    assert!(push.request.conditions.is_empty());
    for key in &mut query.sort {
        key.direction = crate::sort::SortDirection::Descending;
    }
    let push = Push::new(&register, &capabilities, &query);
    let pushed: Vec<_> = push.request.conditions.iter().map(|c| c.operator).collect();
    assert_eq!(pushed, [Operator::Lte]);
}

#[test]
fn a_short_page_is_not_the_end_of_a_source_that_pages_by_offset() {
    let mut walk = Walk::default();
    let page = VirtualPage::new(rows(0..3));
    assert_eq!(walk.take(page, &by_offset()).unwrap().len(), 3);
    assert_eq!(walk.next(), Some(VirtualPosition::Offset(3)));
    walk.take(VirtualPage::new([]), &by_offset()).unwrap();
    assert_eq!(walk.next(), None);
}

#[test]
fn more_rows_than_allowed_are_an_error_and_no_part() {
    let capabilities = VirtualCapabilities::new().rows_max(2);
    let taken = Walk::default().take(VirtualPage::new(rows(0..3)), &capabilities);
    assert!(matches!(
        taken,
        Err(VirtualError::TooManyRows { rows_max: 2 })
    ));
}

#[test]
fn a_row_that_comes_twice_is_found_out() {
    let mut walk = Walk::default();
    walk.take(VirtualPage::new(rows(0..3)), &by_offset())
        .unwrap();
    let again = walk.take(VirtualPage::new(rows(2..4)), &by_offset());
    assert!(matches!(again, Err(VirtualError::Repeated)));
}

#[test]
fn the_same_cursor_twice_is_no_progress() {
    let capabilities = VirtualCapabilities::new().paging(Paging::Cursor);
    let mut walk = Walk::default();
    walk.take(VirtualPage::new(rows(0..1)).next("a"), &capabilities)
        .unwrap();
    let again = walk.take(VirtualPage::new(rows(1..2)).next("a"), &capabilities);
    assert!(matches!(again, Err(VirtualError::NoProgress)));
}
