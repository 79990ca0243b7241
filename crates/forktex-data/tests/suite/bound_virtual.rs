// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! Registers over tables that are there already, and over code: one shape of query, and never a part of
//! an answer.

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use forktex_data::{
    BoundRegister, Cell, Count, Data, DataError, FieldDefinition, Operator, Paging, QueryResult,
    Register, RowId, RowQuery, Value, VirtualCapabilities, VirtualError, VirtualPage,
    VirtualPosition, VirtualRegister, VirtualRequest, VirtualRow, async_trait, field,
};
use serde_json::json;
use uuid::Uuid;

use crate::fixture::{World, draft, texts};

const SHOP: &str = "
    CREATE SCHEMA shop;
    CREATE TABLE shop.client (
        id bigint PRIMARY KEY, org_id uuid NOT NULL, name text, rating numeric, is_big boolean, since date,
        seen_at timestamptz, tags jsonb, created_at timestamptz NOT NULL DEFAULT now()
    );
    CREATE INDEX client_name ON shop.client (org_id, name);
    CREATE TABLE shop.currency (id uuid PRIMARY KEY, code text NOT NULL);
    GRANT USAGE ON SCHEMA shop TO PUBLIC;
    GRANT SELECT ON shop.client, shop.currency TO PUBLIC;";

fn clients() -> BoundRegister {
    BoundRegister::table("shop", "client")
        .named("clients")
        .id("id")
        .tenant_column("org_id")
        .column("name", FieldDefinition::text("name"))
        .column("rating", FieldDefinition::decimal("rating"))
        .column("is_big", FieldDefinition::boolean("is_big"))
        .column("since", FieldDefinition::date("since"))
        .column("seen_at", FieldDefinition::datetime("seen_at"))
        .column("tags", FieldDefinition::json("tags"))
        .created_at("created_at")
}

/// Three clients of ours, and one of somebody else.
async fn shop(world: &World) {
    world.execute(SHOP).await;
    let theirs = Uuid::now_v7();
    let org = world.org;
    world
        .execute(&format!(
            "INSERT INTO shop.client (id, org_id, name, rating, is_big, since, seen_at, tags) VALUES
             (1, '{org}', 'b', 2.50, true, '2026-01-01', '2026-01-01 10:00:00.000001+02', '[1]'),
             (2, '{org}', 'a', -1, false, '2025-01-01', NULL, 'null'),
             (3, '{org}', 'c', NULL, NULL, NULL, NULL, NULL),
             (4, '{theirs}', 'd', 9, true, NULL, NULL, NULL);
             INSERT INTO shop.currency VALUES (gen_random_uuid(), 'EUR'), (gen_random_uuid(), 'USD')"
        ))
        .await;
}

async fn bound(world: &World, register: BoundRegister) -> Register {
    let name = register.name().to_owned();
    let data = Data::builder(&world.db)
        .bound_register(register)
        .build()
        .unwrap();
    data.tenant(world.org).register(&name).await.unwrap()
}

#[tokio::test]
async fn a_table_answers_as_a_register_does() {
    let world = World::create().await;
    shop(&world).await;
    let clients = bound(&world, clients()).await;
    for (filter, expected) in [
        (field("name").is_in(["a", "b", "d"]), "ab"),
        (field("rating").gt(0), "b"),
        (field("rating").is_empty(), "c"),
        (field("rating").is_null(), "c"),
        (field("rating").is_absent(), ""),
        (!field("rating").gt(0), "ac"),
        (field("is_big").eq(true), "b"),
        (field("since").lt(time::macros::date!(2025 - 06 - 01)), "a"),
        (field("name").contains("%"), ""),
        (field("name").gte("b") & field("name").ne("c"), "b"),
    ] {
        let told = format!("{filter:?}");
        let found = RowQuery::new(&clients)
            .filter(filter)
            .order_by("name")
            .scroll(10)
            .await
            .unwrap();
        assert_eq!(texts(&found, "name"), expected, "{told}");
    }
    let all = RowQuery::new(&clients)
        .order_by("-rating")
        .facets(["is_big"])
        .count(Count::Exact)
        .scroll(2)
        .await
        .unwrap();
    assert_eq!(texts(&all, "name"), "cb", "empties first when descending");
    assert_eq!(all.total.unwrap().rows, 3);
    assert_eq!(
        all.facets["is_big"]
            .iter()
            .map(|value| value.count)
            .sum::<u64>(),
        3
    );
    let rest = RowQuery::new(&clients)
        .order_by("-rating")
        .scroll_after(all.next.unwrap(), 2)
        .await;
    assert_eq!(texts(&rest.unwrap(), "name"), "a");
    let first = RowQuery::new(&clients)
        .filter(field("name").eq("b"))
        .first()
        .await
        .unwrap()
        .unwrap();
    assert_eq!(first.get("rating").map(Value::to_json), Some(json!("2.5")));
    assert_eq!(first.get("tags").map(Value::to_json), Some(json!([1])));
    let seen = first.get("seen_at").map(Value::to_json).unwrap();
    assert!(
        seen.as_str()
            .unwrap()
            .starts_with("2026-01-01T08:00:00.000001"),
        "{seen}"
    );
    assert_eq!(
        clients.rows().get(first.id).await.unwrap().get("name"),
        Some(&Value::from("b"))
    );
}

#[tokio::test]
async fn a_bound_row_of_another_tenant_is_not_found() {
    let world = World::create().await;
    shop(&world).await;
    let clients = bound(&world, clients().extended()).await;
    let theirs = RowId::from(Uuid::from_u64_pair(0, 4 ^ (1 << 63)));
    let ours = RowId::from(Uuid::from_u64_pair(0, 1 ^ (1 << 63)));
    assert!(clients.rows().get(ours).await.is_ok());
    let refused = clients.rows().get(theirs).await.unwrap_err();
    assert!(refused.is_not_found(), "{refused:?}");
    let by_id = RowQuery::new(&clients)
        .filter(field("id").eq(theirs))
        .scroll(10)
        .await
        .unwrap();
    assert!(by_id.rows.is_empty());
    let extended = clients
        .add_field(FieldDefinition::text("remark"))
        .await
        .unwrap();
    let refused = extended
        .rows()
        .patch(theirs, draft(json!({"remark": "x"})))
        .await
        .unwrap_err();
    assert!(refused.is_not_found(), "{refused:?}");
}

#[tokio::test]
async fn a_bound_table_is_not_written_to() {
    let world = World::create().await;
    shop(&world).await;
    let clients = bound(&world, clients()).await;
    let id = RowQuery::new(&clients).first().await.unwrap().unwrap().id;
    let rows = clients.rows();
    for (what, outcome) in [
        (
            "create",
            rows.create(draft(json!({"name": "x"}))).await.err(),
        ),
        (
            "patch",
            rows.patch(id, draft(json!({"name": "x"}))).await.err(),
        ),
        (
            "replace",
            rows.replace(id, draft(json!({"name": "x"}))).await.err(),
        ),
        ("archive", rows.archive(id).await.err()),
        ("delete", rows.delete(id).await.err()),
        (
            "upsert",
            rows.upsert("x", draft(json!({"name": "x"}))).await.err(),
        ),
    ] {
        let refused = outcome.unwrap();
        assert!(
            matches!(refused, DataError::Unsupported { .. }),
            "{what}: {refused:?}"
        );
    }
    let names = world
        .count("SELECT count(*) FROM shop.client WHERE name = 'x'")
        .await;
    assert_eq!(names, 0);
}

/// Each tenant adds fields of its own to the rows of one table.
#[tokio::test]
async fn a_table_is_extended_by_each_tenant_for_itself() {
    let world = World::create().await;
    shop(&world).await;
    let clients = bound(&world, clients().extended()).await;
    for refused in [
        FieldDefinition::integer("score").indexed(),
        FieldDefinition::integer("score").unique(),
    ] {
        let refused = clients.add_field(refused).await.unwrap_err();
        assert!(
            matches!(refused, DataError::Unsupported { .. }),
            "{refused:?}"
        );
    }
    let extended = clients
        .add_field(FieldDefinition::integer("score"))
        .await
        .unwrap();
    let extended = extended
        .add_field(FieldDefinition::text("remark"))
        .await
        .unwrap();
    let b = RowQuery::new(&extended)
        .filter(field("name").eq("b"))
        .first()
        .await
        .unwrap()
        .unwrap();
    assert_eq!(b.cell("score"), Cell::Absent);
    let patched = extended
        .rows()
        .patch(b.id, draft(json!({"score": 5})))
        .await
        .unwrap();
    assert_eq!(
        (patched.id, patched.get("score")),
        (b.id, Some(&Value::Integer(5)))
    );
    assert_eq!(
        patched.get("name"),
        Some(&Value::from("b")),
        "the table's cells are there as well"
    );
    let refused = extended
        .rows()
        .patch(b.id, draft(json!({"name": "x", "score": 6})))
        .await;
    assert!(refused.is_err(), "a column of the table stays read-only");

    for (filter, expected) in [
        (field("score").eq(5), "b"),
        (field("score").is_empty(), "ac"),
        (field("score").gt(1) & field("name").eq("b"), "b"),
        (field("score").gt(1) | field("name").eq("a"), "ab"),
    ] {
        let told = format!("{filter:?}");
        let found = RowQuery::new(&extended)
            .filter(filter)
            .order_by("name")
            .scroll(10)
            .await
            .unwrap();
        assert_eq!(texts(&found, "name"), expected, "{told}");
    }
    let sorted = RowQuery::new(&extended)
        .order_by("score")
        .order_by("name")
        .scroll(10)
        .await
        .unwrap();
    assert_eq!(texts(&sorted, "name"), "bac");

    let data = Data::builder(&world.db)
        .bound_register(self::clients().extended())
        .build()
        .unwrap();
    let other = data
        .tenant(Uuid::now_v7())
        .register("clients")
        .await
        .unwrap();
    assert!(
        other.field("score").is_none(),
        "another tenant has its own fields"
    );
}

#[tokio::test]
async fn a_shared_table_is_every_tenants() {
    let world = World::create().await;
    shop(&world).await;
    let currencies = BoundRegister::table("shop", "currency")
        .shared_by_all_tenants()
        .column("code", FieldDefinition::text("code"));
    let currency = bound(&world, currencies).await;
    let found = RowQuery::new(&currency)
        .order_by("code")
        .scroll(10)
        .await
        .unwrap();
    assert_eq!(texts(&found, "code"), "EURUSD");
}

#[tokio::test]
async fn a_table_that_does_not_fit_is_refused() {
    let world = World::create().await;
    shop(&world).await;
    let table = || BoundRegister::table("shop", "client").named("clients");
    for (what, register) in [
        (
            "no tenant",
            table().column("name", FieldDefinition::text("name")),
        ),
        (
            "no such table",
            BoundRegister::table("shop", "cliant")
                .named("clients")
                .tenant_column("org_id"),
        ),
        (
            "no such column",
            table()
                .tenant_column("org_id")
                .column("nome", FieldDefinition::text("name")),
        ),
        (
            "another type",
            table()
                .tenant_column("org_id")
                .column("name", FieldDefinition::integer("name")),
        ),
        (
            "an id that is not unique",
            table()
                .id("rating")
                .tenant_column("org_id")
                .column("name", FieldDefinition::text("name")),
        ),
    ] {
        let data = Data::builder(&world.db)
            .bound_register(register)
            .build()
            .unwrap();
        let refused = data.tenant(world.org).register("clients").await;
        assert!(
            matches!(refused, Err(DataError::Bound { .. })),
            "{what}: {refused:?}"
        );
    }
}

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
