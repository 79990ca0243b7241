// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! Deleting a row is planned over the whole closure first: what is refused deep down changes nothing.

use forktex_data::{
    DataError, Draft, FieldDefinition, OnDelete, Register, RelationError, RowId, RowQuery, field,
};
use serde_json::json;

use crate::fixture::{World, create, many_to_one};

/// A register whose rows have a `name` that is indexed, unique and searchable, so that each side table
/// has a part in it.
async fn named(world: &World, register: &str) -> Register {
    let name = FieldDefinition::text("name")
        .indexed()
        .unique()
        .searchable();
    world.with_fields(register, [name]).await
}

/// Rows of `register` that refer to one row.
async fn children(register: &Register, parent: &str, names: &[&str], target: RowId) -> Vec<RowId> {
    let mut ids = Vec::new();
    for name in names {
        ids.push(
            create(register, json!({"name": name, parent: target}))
                .await
                .id,
        );
    }
    ids
}

fn is_restricted(outcome: &DataError) -> bool {
    matches!(
        outcome,
        DataError::Relation(RelationError::Restricted { .. })
    )
}

#[tokio::test]
async fn a_restrict_deep_down_changes_nothing() {
    let world = World::create().await;
    let a = named(&world, "a").await;
    let b = named(&world, "b").await;
    let c = named(&world, "c").await;
    let d = named(&world, "d").await;
    let b = world
        .refer(&b, many_to_one("a", "a", "bs", OnDelete::Cascade))
        .await;
    let c = world
        .refer(&c, many_to_one("b", "b", "cs", OnDelete::Cascade))
        .await;
    let d = world
        .refer(&d, many_to_one("c", "c", "ds", OnDelete::Restrict))
        .await;
    let top = create(&a, json!({"name": "top"})).await;
    let middle = children(&b, "a", &["b1", "b2", "b3"], top.id).await;
    let low = children(&c, "b", &["c1", "c2"], middle[2]).await;
    let guards = children(&d, "c", &["d1"], low[1]).await;

    let a = a.refresh().await.unwrap();
    let before = world.snapshot().await;
    let refused = a.rows().delete(top.id).await.unwrap_err();
    let DataError::Relation(RelationError::Restricted { first, count, .. }) = refused else {
        panic!("{refused:?}");
    };
    assert_eq!(
        (first.register.as_str(), first.row, count),
        ("d", guards[0], 1)
    );
    let path: Vec<RowId> = first.path.iter().map(|step| step.row).collect();
    assert_eq!(
        path,
        [top.id, middle[2], low[1]],
        "the way that leads there"
    );
    assert_eq!(world.snapshot().await, before, "nothing changed");

    let plan = a.rows().plan_delete(top.id).await.unwrap();
    assert!(plan.is_restricted(), "{plan:?}");
    assert_eq!(world.snapshot().await, before, "a plan is no deed");

    d.rows().delete(guards[0]).await.unwrap();
    let done = a.rows().delete(top.id).await.unwrap();
    assert_eq!(done.rows(), 6, "{done:?}");
    for register in [&a, &b, &c] {
        let left = RowQuery::new(register).count_rows().await.unwrap();
        assert_eq!(left, 0, "{register:?}");
    }
    for table in ["row", "link", "value_text", "unique_value", "search_word"] {
        let left = world
            .count(&format!("SELECT count(*) FROM forktex_data.{table}"))
            .await;
        assert_eq!(left, 0, "{table} keeps nothing of rows that are gone");
    }
}

/// A row that goes itself forbids nothing.
#[tokio::test]
async fn a_restrict_from_a_row_that_is_deleted_too_is_none() {
    let world = World::create().await;
    let order = named(&world, "orders").await;
    let line = named(&world, "lines").await;
    let line = world
        .refer(
            &line,
            many_to_one("order", "orders", "lines", OnDelete::Cascade),
        )
        .await;
    let first = many_to_one("first_of", "orders", "firsts", OnDelete::Restrict);
    let line = world.refer(&line, first).await;
    let order_row = create(&order, json!({"name": "o"})).await.id;
    create(
        &line,
        json!({"name": "l", "order": order_row, "first_of": order_row}),
    )
    .await;
    let order = order.refresh().await.unwrap();
    order.rows().delete(order_row).await.unwrap();
    assert_eq!(RowQuery::new(&line).count_rows().await.unwrap(), 0);
}

#[tokio::test]
async fn a_cycle_is_deleted_once_round() {
    let world = World::create().await;
    let person = named(&world, "persons").await;
    let person = world
        .refer(
            &person,
            many_to_one("boss", "persons", "staff", OnDelete::Cascade),
        )
        .await;
    let ids = {
        let mut ids = vec![create(&person, json!({"name": "p0"})).await.id];
        for n in 1..5 {
            let boss = ids[n - 1];
            ids.push(
                create(&person, json!({"name": format!("p{n}"), "boss": boss}))
                    .await
                    .id,
            );
        }
        ids
    };
    let closes = Draft::new().reference("boss", ids[4]);
    person.rows().patch(ids[0], closes).await.unwrap();
    let own = create(&person, json!({"name": "own boss"})).await.id;
    person
        .rows()
        .patch(own, Draft::new().reference("boss", own))
        .await
        .unwrap();

    let plan = person.rows().plan_delete(ids[2]).await.unwrap();
    assert!(plan.restricted_by.is_empty(), "{plan:?}");
    person.rows().delete(ids[2]).await.unwrap();
    assert_eq!(RowQuery::new(&person).count_rows().await.unwrap(), 1);
    person.rows().delete(own).await.unwrap();
    assert_eq!(
        world.count("SELECT count(*) FROM forktex_data.row").await,
        0
    );
    assert_eq!(
        world.count("SELECT count(*) FROM forktex_data.link").await,
        0
    );
}

#[tokio::test]
async fn set_null_keeps_the_row_and_takes_the_reference() {
    let world = World::create().await;
    let client = named(&world, "clients").await;
    let note = named(&world, "notes").await;
    let note = world
        .refer(
            &note,
            many_to_one("client", "clients", "notes", OnDelete::SetNull),
        )
        .await;
    let owner = create(&client, json!({"name": "c"})).await.id;
    let kept = children(&note, "client", &["n1", "n2"], owner).await;
    let client = client.refresh().await.unwrap();
    client.rows().delete(owner).await.unwrap();
    for id in kept {
        let row = note.rows().get(id).await.unwrap();
        assert!(row.references("client").is_empty());
    }
    let without = RowQuery::new(&note).filter(field("client").is_empty());
    assert_eq!(without.count_rows().await.unwrap(), 2);
}

/// Archived rows are rows: they restrict, and they go along.
#[tokio::test]
async fn an_archived_row_still_counts() {
    let world = World::create().await;
    let client = named(&world, "clients").await;
    let invoice = named(&world, "invoices").await;
    let by = many_to_one("client", "clients", "invoices", OnDelete::Restrict);
    let invoice = world.refer(&invoice, by).await;
    let owner = create(&client, json!({"name": "c"})).await.id;
    let bills = children(&invoice, "client", &["i"], owner).await;
    invoice.rows().archive(bills[0]).await.unwrap();
    let client = client.refresh().await.unwrap();
    let refused = client.rows().delete(owner).await.unwrap_err();
    assert!(is_restricted(&refused), "{refused:?}");
}

/// Two that delete overlapping closures wait for each other; neither leaves a half behind.
#[tokio::test]
async fn deletions_of_one_closure_at_once_leave_no_orphan() {
    let world = World::create().await;
    let parent = named(&world, "parents").await;
    let child = named(&world, "children").await;
    let by = many_to_one("parent", "parents", "children", OnDelete::Cascade);
    let child = world.refer(&child, by).await;
    let parent = parent.refresh().await.unwrap();
    for round in 0..5 {
        let top = create(&parent, json!({"name": format!("p{round}")}))
            .await
            .id;
        let below = children(&child, "parent", &["x", "y", "z"], top).await;
        let rows = parent.rows();
        let child_rows = child.rows();
        let (whole, part) = tokio::join!(
            rows.delete(top).into_future(),
            child_rows.delete(below[1]).into_future()
        );
        whole.unwrap();
        if let Err(error) = part {
            assert!(error.is_not_found(), "{error:?}");
        }
        assert_eq!(
            world.count("SELECT count(*) FROM forktex_data.row").await,
            0
        );
        assert_eq!(
            world.count("SELECT count(*) FROM forktex_data.link").await,
            0
        );
    }
}

/// A reference made while its target goes is refused, or goes with it.
#[tokio::test]
async fn no_reference_outlives_its_target() {
    let world = World::create().await;
    let parent = named(&world, "parents").await;
    let child = named(&world, "children").await;
    let by = many_to_one("parent", "parents", "children", OnDelete::Cascade);
    let child = world.refer(&child, by).await;
    let parent = parent.refresh().await.unwrap();
    for round in 0..10 {
        let top = create(&parent, json!({"name": format!("p{round}")}))
            .await
            .id;
        let referring = Draft::new()
            .set("name", format!("c{round}"))
            .reference("parent", top);
        let rows = parent.rows();
        let child_rows = child.rows();
        let (deleted, created) =
            tokio::join!(rows.delete(top).into_future(), child_rows.create(referring));
        deleted.unwrap();
        if let Err(error) = created {
            let is_gone = matches!(error, DataError::Relation(RelationError::TargetGone { .. }));
            assert!(is_gone || error.is_not_found(), "{error:?}");
        }
        assert_eq!(
            world.count("SELECT count(*) FROM forktex_data.row").await,
            0
        );
    }
}
