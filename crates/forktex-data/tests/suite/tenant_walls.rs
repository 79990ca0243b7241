// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! Tenants and registers do not reach each other: neither through any operation, nor past our code by a
//! connection that row-level security binds.

use forktex_data::{
    Archived, DataError, FieldDefinition, OnDelete, Register, RelationshipDefinition, Row, RowId,
    RowQuery, field, related,
};
use forktex_db::{Db, sqlx};
use serde_json::json;
use sqlx::AssertSqlSafe;
use uuid::Uuid;

use crate::fixture::{World, create, definition, draft, many_to_one};

/// Two tenants with the same registers, and a row in each.
struct Walls {
    world: World,
    theirs: Uuid,
    their_client: RowId,
    invoices: Register,
    clients: Register,
    our_invoice: Row,
    our_client: Row,
    /// Ids that are no row of our invoices: of another tenant's invoices, of our clients, of nothing.
    foreign: [RowId; 3],
}

impl Walls {
    async fn create() -> Self {
        let world = World::create().await;
        let theirs = Uuid::now_v7();
        let (invoices, clients) = registers(&world, world.org).await;
        let (their_invoices, their_clients) = registers(&world, theirs).await;
        let our_client = create(&clients, json!({"name": "our client"})).await;
        let our_invoice = create(&invoices, json!({"name": "ours", "client": our_client.id})).await;
        let their_client = create(&their_clients, json!({"name": "their client"})).await;
        let their_invoice = create(
            &their_invoices,
            json!({"name": "theirs", "client": their_client.id}),
        )
        .await;
        let foreign = [their_invoice.id, our_client.id, RowId::from(Uuid::now_v7())];
        Self {
            world,
            theirs,
            their_client: their_client.id,
            invoices,
            clients,
            our_invoice,
            our_client,
            foreign,
        }
    }
}

/// `clients`, and `invoices` that refer to them and keep their history.
async fn registers(world: &World, org: Uuid) -> (Register, Register) {
    let tenant = world.data.tenant(org);
    let name = || {
        FieldDefinition::text("name")
            .indexed()
            .unique()
            .searchable()
    };
    let clients = tenant
        .create_register(definition("clients", [name()]))
        .await
        .unwrap();
    let invoices = definition("invoices", [name()]).keeps_history();
    let invoices = tenant.create_register(invoices).await.unwrap();
    let client = many_to_one("client", "clients", "invoices", OnDelete::Restrict);
    let invoices = world.refer(&invoices, client).await;
    let tags = RelationshipDefinition::many_to_many("tags", "clients").inverse("tagged");
    let invoices = world.refer(&invoices, tags).await;
    (invoices, clients.refresh().await.unwrap())
}

fn assert_not_found<T>(operation: &str, id: RowId, outcome: Result<T, DataError>) {
    let Err(error) = outcome else {
        panic!("{operation} reached {id}");
    };
    let is_row = matches!(&error, DataError::RowNotFound { id: named, .. } if *named == id);
    assert!(is_row && error.is_not_found(), "{operation}: {error:?}");
}

#[tokio::test]
async fn a_row_id_of_another_tenant_or_register_is_not_found_in_each_operation() {
    let walls = Walls::create().await;
    let rows = walls.invoices.rows();
    let ours = walls.our_invoice.id;
    let before = walls.world.snapshot().await;
    for id in walls.foreign {
        let named = || draft(json!({"name": "taken over"}));
        assert_not_found("get", id, rows.get(id).await);
        assert_not_found("get_many", id, rows.get_many(&[ours, id]).await);
        assert_not_found("patch", id, rows.patch(id, named()).await);
        assert_not_found(
            "patch of a version",
            id,
            rows.patch(id, named()).expect_version(1).await,
        );
        assert_not_found("replace", id, rows.replace(id, named()).await);
        assert_not_found("archive", id, rows.archive(id).await);
        assert_not_found("restore", id, rows.restore(id).await);
        assert_not_found("delete", id, rows.delete(id).await);
        assert_not_found(
            "delete of a version",
            id,
            rows.delete(id).expect_version(1).await,
        );
        assert_not_found("plan_delete", id, rows.plan_delete(id).await);
        assert_not_found("history", id, rows.history(id).await);
        let client = walls.our_client.id;
        assert_not_found(
            "link of a foreign source",
            id,
            rows.link(id, "tags", client).await,
        );
        assert_not_found(
            "unlink of a foreign source",
            id,
            rows.unlink(id, "tags", client).await,
        );
        assert!(rows.find(id).await.unwrap().is_none());
    }
    assert_eq!(walls.world.snapshot().await, before, "nothing was written");
}

/// A reference is one more way to a row.
#[tokio::test]
async fn a_reference_to_a_row_of_another_tenant_or_register_is_not_found() {
    let walls = Walls::create().await;
    let rows = walls.invoices.rows();
    let ours = walls.our_invoice.id;
    let their_clients = walls
        .world
        .data
        .tenant(walls.theirs)
        .register("clients")
        .await
        .unwrap();
    let their_client = RowQuery::new(&their_clients)
        .first()
        .await
        .unwrap()
        .unwrap();
    let before = walls.world.snapshot().await;
    for id in [
        their_client.id,
        walls.our_invoice.id,
        RowId::from(Uuid::now_v7()),
    ] {
        let client = || draft(json!({"name": "n", "client": id}));
        let tags = || draft(json!({"name": "n", "tags": [walls.our_client.id, id]}));
        assert_not_found("create", id, rows.create(client()).await);
        assert_not_found("create with many", id, rows.create(tags()).await);
        let both = vec![draft(json!({"name": "m"})), client()];
        let refused = rows.create_many(both).await.unwrap_err();
        let DataError::Draft { index: 1, cause } = refused else {
            panic!("{refused:?}");
        };
        assert_not_found("create_many", id, Err::<(), _>(*cause));
        assert_not_found("patch", id, rows.patch(ours, client()).await);
        assert_not_found("replace", id, rows.replace(ours, client()).await);
        assert_not_found("upsert", id, rows.upsert("a", client()).await);
        assert_not_found("link", id, rows.link(ours, "tags", id).await);
        assert_not_found("unlink", id, rows.unlink(ours, "tags", id).await);
    }
    assert_eq!(walls.world.snapshot().await, before, "nothing was written");
}

#[tokio::test]
async fn a_query_sees_the_rows_of_its_own_tenant_and_register_only() {
    let walls = Walls::create().await;
    let ours = walls.our_invoice.id;
    let foreign = walls.foreign;
    for (what, filter) in [
        ("id", field("id").is_in(foreign)),
        ("name", field("name").is_in(["theirs", "our client"])),
        (
            "reference",
            field("client").is_in([walls.their_client, foreign[0], foreign[2]]),
        ),
        (
            "related",
            related("client", field("name").eq("their client")),
        ),
    ] {
        let found = RowQuery::new(&walls.invoices)
            .filter(filter)
            .archived(Archived::Include);
        assert!(found.scroll(10).await.unwrap().rows.is_empty(), "{what}");
    }
    let all = RowQuery::new(&walls.invoices)
        .facets(["name"])
        .scroll(10)
        .await
        .unwrap();
    assert_eq!(
        all.rows.iter().map(|row| row.id).collect::<Vec<_>>(),
        [ours]
    );
    assert_eq!(all.facets["name"].len(), 1);
    for (words, count) in [("theirs", 0), ("ours", 1), ("client", 0)] {
        let found = RowQuery::new(&walls.invoices)
            .search(words)
            .scroll(10)
            .await;
        assert_eq!(found.unwrap().rows.len(), count, "{words}");
        let near = RowQuery::new(&walls.invoices)
            .fuzzy_search(words)
            .scroll(10)
            .await;
        assert!(
            near.unwrap().rows.iter().all(|row| row.id == ours),
            "{words}"
        );
    }
    assert_eq!(RowQuery::new(&walls.clients).count_rows().await.unwrap(), 1);
}

/// The names of another tenant's registers and fields are none here, and its values are free here.
#[tokio::test]
async fn what_is_unique_to_one_tenant_is_free_for_another() {
    let walls = Walls::create().await;
    create(&walls.invoices, json!({"name": "theirs"})).await;
    let refused = walls
        .invoices
        .rows()
        .create(draft(json!({"name": "ours"})))
        .await;
    assert!(
        matches!(refused, Err(DataError::Duplicate { .. })),
        "{refused:?}"
    );
    let upserted = walls
        .invoices
        .rows()
        .upsert("7", draft(json!({"name": "a"})))
        .await;
    assert!(upserted.unwrap().created);
    let their_invoices = walls
        .world
        .data
        .tenant(walls.theirs)
        .register("invoices")
        .await;
    let rows = their_invoices.unwrap().rows();
    assert!(
        rows.upsert("7", draft(json!({"name": "a"})))
            .await
            .unwrap()
            .created
    );
    let nobody = walls.world.data.tenant(Uuid::now_v7());
    let unknown = nobody.register("invoices").await.unwrap_err();
    assert!(
        matches!(unknown, DataError::RegisterNotFound { nearest: None, .. }),
        "{unknown:?}"
    );
    assert!(nobody.registers().await.unwrap().is_empty());
}

/// A cursor that another tenant was given leads nowhere.
#[tokio::test]
async fn a_cursor_of_another_tenant_is_refused() {
    let walls = Walls::create().await;
    let their_invoices = walls
        .world
        .data
        .tenant(walls.theirs)
        .register("invoices")
        .await
        .unwrap();
    create(&their_invoices, json!({"name": "second"})).await;
    let first = RowQuery::new(&their_invoices).scroll(1).await.unwrap();
    let cursor = first.next.unwrap();
    let refused = RowQuery::new(&walls.invoices).scroll_after(cursor, 1).await;
    assert!(
        matches!(refused, Err(DataError::Query(_))),
        "{:?}",
        refused.err()
    );
}

const ROLES: &str = "
    SELECT count(*) FROM pg_catalog.pg_class c
      JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
      JOIN pg_catalog.pg_policy p ON p.polrelid = c.oid AND p.polname = 'forktex_org'
     WHERE n.nspname = 'forktex_data' AND c.relrowsecurity AND c.relforcerowsecurity";

/// Past our code: plain SQL, as the service's role and as the tables' owner.
#[tokio::test]
async fn the_server_keeps_tenants_apart_in_each_table() {
    let walls = Walls::create().await;
    let world = &walls.world;
    let tables = world.tables().await;
    for table in [
        "field",
        "history",
        "link",
        "register",
        "row",
        "unique_value",
        "value_text",
    ] {
        assert!(
            tables.iter().any(|known| known == table),
            "{table} of {tables:?}"
        );
    }
    let guarded = world.count(ROLES).await;
    assert_eq!(
        guarded,
        i64::try_from(tables.len()).unwrap(),
        "each table has the policy, forced"
    );
    for db in [&world.db, &world.owner] {
        for table in &tables {
            assert_eq!(seen(db, None, table).await, 0, "{table} without a tenant");
            let all = world
                .count(&format!("SELECT count(*) FROM forktex_data.\"{table}\""))
                .await;
            let of_each =
                seen(db, Some(world.org), table).await + seen(db, Some(walls.theirs), table).await;
            assert_eq!(
                of_each, all,
                "{table}: each row is seen by its tenant, and by no other"
            );
            assert_eq!(
                seen(db, Some(Uuid::now_v7()), table).await,
                0,
                "{table} as a stranger"
            );
        }
    }
}

/// How many rows plain SQL counts in a table.
async fn seen(db: &Db, org: Option<Uuid>, table: &str) -> i64 {
    let mut tx = db.begin().await.unwrap();
    if let Some(org) = org {
        tx.for_org(org).await.unwrap();
    }
    let statement = format!("SELECT count(*) FROM forktex_data.\"{table}\"");
    let count = sqlx::query_scalar(AssertSqlSafe(statement))
        .fetch_one(tx.connection())
        .await;
    tx.rollback().await.unwrap();
    count.unwrap()
}

#[tokio::test]
async fn plain_sql_changes_nothing_of_another_tenant() {
    let walls = Walls::create().await;
    let world = &walls.world;
    let before = world.snapshot().await;
    for db in [&world.db, &world.owner] {
        for (statement, is_refused) in [
            (
                "UPDATE forktex_data.row SET cells = '{}' WHERE id = $1",
                false,
            ),
            ("DELETE FROM forktex_data.link WHERE source_id = $1", false),
            (
                "DELETE FROM forktex_data.value_text WHERE row_id = $1",
                false,
            ),
            ("DELETE FROM forktex_data.history WHERE row_id = $1", false),
            ("UPDATE forktex_data.row SET tenant_id = $1", true),
            ("UPDATE forktex_data.register SET tenant_id = $1", true),
            (
                "INSERT INTO forktex_data.register (tenant_id, name) VALUES ($1, 'planted')",
                true,
            ),
        ] {
            let mut tx = db.begin().await.unwrap();
            tx.for_org(world.org).await.unwrap();
            let id = if is_refused {
                walls.theirs
            } else {
                walls.foreign[0].as_uuid()
            };
            let outcome = sqlx::query(statement)
                .bind(id)
                .execute(tx.connection())
                .await;
            match outcome {
                Ok(done) => {
                    assert!(!is_refused, "{statement} was let through");
                    assert_eq!(done.rows_affected(), 0, "{statement}");
                }
                Err(error) => {
                    let code = error
                        .as_database_error()
                        .and_then(sqlx::error::DatabaseError::code);
                    // A policy that is not met; nothing else would be a proof.
                    assert_eq!(code.as_deref(), Some("42501"), "{statement}: {error}");
                }
            }
            tx.rollback().await.unwrap();
        }
    }
    assert_eq!(world.snapshot().await, before);
}
