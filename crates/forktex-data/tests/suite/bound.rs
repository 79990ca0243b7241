// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! Registers over tables that are there already: the same queries, and fields that each tenant adds.

use forktex_data::{
    BoundRegister, Cell, Count, Data, DataError, FieldDefinition, Filter, Register, RowId,
    RowQuery, Value, field,
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

/// The names of the rows that a filter finds, one after the other.
async fn assert_found(register: &Register, filter: Filter, names: &str) {
    let told = format!("{filter:?}");
    let query = RowQuery::new(register).filter(filter).order_by("name");
    let found = query.scroll(10).await.unwrap();
    assert_eq!(texts(&found, "name"), names, "{told}");
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
        assert_found(&clients, filter, expected).await;
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
        assert_found(&extended, filter, expected).await;
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
