// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! Registers over code: the same queries, and never a part of an answer.

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use forktex_data::{
    Count, Data, DataError, FieldDefinition, Operator, Paging, QueryResult, Register, RowId,
    RowQuery, Value, VirtualCapabilities, VirtualError, VirtualPage, VirtualPosition,
    VirtualRegister, VirtualRequest, VirtualRow, async_trait, field,
};
use serde_json::json;
use uuid::Uuid;

use crate::fixture::{World, draft};

/// A list behind an API that gives pages.
struct Countries {
    capabilities: VirtualCapabilities,
    rows: usize,
    fetches: &'static AtomicUsize,
    seen: &'static Mutex<Vec<VirtualRequest>>,
    fault: Fault,
}

#[derive(Clone, Copy, PartialEq)]
enum Fault {
    None,
    /// The second page fails.
    SecondPage,
    /// A cell is of another type.
    Cell,
    /// A field that was not declared.
    Field,
    /// It claims an order and gives another.
    Order,
    /// It gives the same cursor again.
    Loop,
    /// It never answers.
    Silence,
}

impl Countries {
    fn new(rows: usize, capabilities: VirtualCapabilities) -> Self {
        Self {
            capabilities,
            rows,
            fetches: Box::leak(Box::default()),
            seen: Box::leak(Box::default()),
            fault: Fault::None,
        }
    }

    fn with(mut self, fault: Fault) -> Self {
        self.fault = fault;
        self
    }

    fn row(&self, n: usize) -> VirtualRow {
        let number = i64::try_from(n).unwrap();
        let row = VirtualRow::new(number).set("name", format!("n{n:05}"));
        match self.fault {
            Fault::Cell => row.set_json("size", json!("large")),
            Fault::Field => row.set("size", number).set("undeclared", 1),
            _ if n.is_multiple_of(4) => row.null("size"),
            _ => row.set("size", number % 7),
        }
    }
}

#[async_trait]
impl VirtualRegister for Countries {
    fn fields(&self) -> Vec<FieldDefinition> {
        vec![
            FieldDefinition::text("name").searchable(),
            FieldDefinition::integer("size"),
        ]
    }

    fn capabilities(&self) -> VirtualCapabilities {
        self.capabilities.clone()
    }

    async fn fetch(
        &self,
        _tenant: Uuid,
        request: &VirtualRequest,
    ) -> Result<VirtualPage, VirtualError> {
        self.fetches.fetch_add(1, Ordering::SeqCst);
        self.seen.lock().unwrap().push(request.clone());
        if self.fault == Fault::Silence {
            std::future::pending::<()>().await;
        }
        let start = match &request.position {
            VirtualPosition::Offset(rows) => usize::try_from(*rows).unwrap(),
            VirtualPosition::Cursor(text) => text.parse().unwrap(),
            _ => 0,
        };
        if self.fault == Fault::SecondPage && start > 0 {
            return Err(VirtualError::unavailable("the API is away"));
        }
        let wanted = |n: &usize| match request.equal_to("name") {
            Some(name) => name.as_str() == Some(format!("n{n:05}").as_str()),
            None => true,
        };
        let mut numbers: Vec<usize> = (0..self.rows).filter(wanted).collect();
        if let Some(sort) = request.sort.first() {
            assert_eq!(sort.field, "name");
            if sort.is_descending != (self.fault == Fault::Order) {
                numbers.reverse();
            }
        }
        let page: Vec<VirtualRow> = numbers
            .iter()
            .skip(start)
            .take(request.rows_max)
            .map(|n| self.row(*n))
            .collect();
        let end = start + page.len();
        let page = VirtualPage::new(page);
        if self.fault == Fault::Loop {
            return Ok(page.next("0"));
        }
        let goes_on = end < numbers.len() && end > start;
        Ok(if goes_on {
            page.next(end.to_string())
        } else {
            page.last()
        })
    }
}

async fn countries(world: &World, source: Countries) -> Register {
    let data = Data::builder(&world.db)
        .virtual_register("countries", source)
        .build()
        .unwrap();
    data.tenant(world.org).register("countries").await.unwrap()
}

fn paged() -> VirtualCapabilities {
    VirtualCapabilities::new()
        .paging(Paging::Cursor)
        .page_rows(10)
}

fn names(found: &QueryResult) -> Vec<&str> {
    let rows = found.rows.iter();
    rows.filter_map(|row| row.get("name").and_then(Value::as_str))
        .collect()
}

#[tokio::test]
async fn code_answers_as_a_register_does() {
    let world = World::create().await;
    for capabilities in [
        VirtualCapabilities::new(),
        paged(),
        VirtualCapabilities::new()
            .paging(Paging::Offset)
            .page_rows(7),
        paged().filters("name", [Operator::Eq]).sorts_by(["name"]),
    ] {
        let countries = countries(&world, Countries::new(45, capabilities)).await;
        let found = RowQuery::new(&countries)
            .filter(field("size").gte(5))
            .order_by("-size")
            .order_by("name")
            .facets(["size"])
            .count(Count::Exact)
            .scroll(3)
            .await
            .unwrap();
        assert_eq!(names(&found), ["n00006", "n00013", "n00027"]);
        let counted: u64 = found.facets["size"].iter().map(|value| value.count).sum();
        assert_eq!(found.total.unwrap().rows, counted);
        let one = RowQuery::new(&countries)
            .filter(field("name").eq("n00030"))
            .scroll(5)
            .await
            .unwrap();
        assert_eq!(names(&one), ["n00030"]);
        let empties = RowQuery::new(&countries)
            .filter(field("size").is_null())
            .count_rows()
            .await;
        assert_eq!(empties.unwrap(), 12);
        let searched = RowQuery::new(&countries)
            .search("n00031")
            .scroll(5)
            .await
            .unwrap();
        assert_eq!(names(&searched), ["n00031"]);
        let id = one.rows[0].id;
        assert_eq!(countries.rows().get(id).await.unwrap().id, id);
        let missing = countries
            .rows()
            .get(RowId::from(Uuid::now_v7()))
            .await
            .unwrap_err();
        assert!(missing.is_not_found(), "{missing:?}");
    }
}

#[tokio::test]
async fn what_the_source_can_do_is_left_to_it() {
    let world = World::create().await;
    let capabilities = paged().filters("name", [Operator::Eq]).sorts_by(["name"]);
    let source = Countries::new(1_000, capabilities);
    let (fetches, seen) = (source.fetches, source.seen);
    let countries = countries(&world, source).await;
    let one = field("name").eq("n00500") & field("size").gte(0);
    RowQuery::new(&countries)
        .filter(one)
        .scroll(5)
        .await
        .unwrap();
    let asked = seen.lock().unwrap().drain(..).collect::<Vec<_>>();
    assert_eq!(asked.len(), 1, "one page was enough");
    assert_eq!(asked[0].conditions.len(), 1, "`gte` was not declared");
    fetches.store(0, Ordering::SeqCst);
    let first = RowQuery::new(&countries)
        .order_by("-name")
        .scroll(5)
        .await
        .unwrap();
    assert_eq!(names(&first)[0], "n00999");
    assert!(
        fetches.load(Ordering::SeqCst) <= 2,
        "the first rows are had without the rest"
    );
}

#[tokio::test]
async fn a_part_of_an_answer_is_no_answer() {
    let world = World::create().await;
    let query = async |source: Countries| {
        let countries = countries(&world, source).await;
        let asked = RowQuery::new(&countries).order_by("size").scroll(5).await;
        match asked.unwrap_err() {
            DataError::Virtual { source, .. } => source,
            other => panic!("{other:?}"),
        }
    };
    let few = paged().rows_max(30);
    let refused = query(Countries::new(31, few.clone())).await;
    assert!(
        matches!(refused, VirtualError::TooManyRows { rows_max: 30 }),
        "{refused:?}"
    );
    let refused = query(Countries::new(30, few).with(Fault::SecondPage)).await;
    assert!(
        matches!(refused, VirtualError::Unavailable { .. }),
        "{refused:?}"
    );
    let refused = query(Countries::new(5, paged()).with(Fault::Cell)).await;
    assert!(matches!(refused, VirtualError::Cell { .. }), "{refused:?}");
    let refused = query(Countries::new(5, paged()).with(Fault::Field)).await;
    assert!(
        matches!(refused, VirtualError::UnknownField { .. }),
        "{refused:?}"
    );
    let refused = query(Countries::new(50, paged()).with(Fault::Loop)).await;
    assert!(
        matches!(refused, VirtualError::NoProgress | VirtualError::Repeated),
        "{refused:?}"
    );
    let silent = paged().fetch_timeout(Duration::from_millis(50));
    let refused = query(Countries::new(5, silent).with(Fault::Silence)).await;
    assert!(
        matches!(refused, VirtualError::TimedOut { .. }),
        "{refused:?}"
    );
}

#[tokio::test]
async fn an_order_that_is_claimed_and_not_kept_is_found_out() {
    let world = World::create().await;
    let source = Countries::new(50, paged().sorts_by(["name"])).with(Fault::Order);
    let countries = countries(&world, source).await;
    let refused = RowQuery::new(&countries)
        .order_by("name")
        .scroll(20)
        .await
        .unwrap_err();
    let DataError::Virtual { source, .. } = refused else {
        panic!("{refused:?}");
    };
    assert!(
        matches!(source, VirtualError::Misordered { .. }),
        "{source:?}"
    );
}

#[tokio::test]
async fn a_source_that_cannot_write_says_so() {
    let world = World::create().await;
    let countries = countries(&world, Countries::new(3, paged())).await;
    let id = RowQuery::new(&countries).first().await.unwrap().unwrap().id;
    let rows = countries.rows();
    for outcome in [
        rows.create(draft(json!({"name": "x"}))).await.err(),
        rows.patch(id, draft(json!({"name": "x"}))).await.err(),
        rows.delete(id).await.err(),
        rows.archive(id).await.err(),
    ] {
        let refused = outcome.unwrap();
        let is_told = matches!(
            &refused,
            DataError::Unsupported { .. }
                | DataError::Virtual {
                    source: VirtualError::Unsupported { .. },
                    ..
                }
        );
        assert!(is_told, "{refused:?}");
    }
    assert!(
        countries
            .add_field(FieldDefinition::text("more"))
            .await
            .is_err()
    );
}
