// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! Relationships hold their cardinality in the database, and what is computed is never stale without
//! saying so.

use forktex_data::{
    Data, DataError, Draft, FieldDefinition, OnDelete, Register, RelationError,
    RelationshipDefinition, Rollup, RowId, RowQuery, Value, field,
};
use serde_json::{Value as Json, json};

use crate::fixture::{World, create, draft, many_to_one};

async fn named(world: &World, register: &str) -> Register {
    world
        .with_fields(register, [FieldDefinition::text("name").indexed()])
        .await
}

fn is_cardinality<T: std::fmt::Debug>(outcome: Result<T, DataError>) -> bool {
    matches!(
        outcome.unwrap_err(),
        DataError::Relation(RelationError::Cardinality { .. })
    )
}

#[tokio::test]
async fn one_to_one_takes_no_second_from_either_side() {
    let world = World::create().await;
    named(&world, "desks").await;
    let people = named(&world, "people").await;
    let desk = RelationshipDefinition::one_to_one("desk", "desks").inverse("person");
    let people = world.refer(&people, desk).await;
    let desks = world.tenant().register("desks").await.unwrap();
    let one = create(&desks, json!({"name": "1"})).await.id;
    let two = create(&desks, json!({"name": "2"})).await.id;
    let ann = create(&people, json!({"name": "ann", "desk": one})).await;
    assert_eq!(ann.references("desk"), [one]);
    assert!(is_cardinality(
        people
            .rows()
            .create(draft(json!({"name": "ben", "desk": one})))
            .await
    ));
    assert_eq!(
        RowQuery::new(&people).count_rows().await.unwrap(),
        1,
        "nothing half written"
    );
    let moved = people
        .rows()
        .patch(ann.id, draft(json!({"desk": two})))
        .await
        .unwrap();
    assert_eq!(moved.references("desk"), [two]);
    create(&people, json!({"name": "ben", "desk": one})).await;
    let freed = people
        .rows()
        .patch(ann.id, draft(json!({"desk": null})))
        .await
        .unwrap();
    assert!(freed.references("desk").is_empty());
}

/// The database holds the cardinality: of many at once, one is let through.
#[tokio::test]
async fn a_place_for_one_is_given_once_under_concurrency() {
    let world = World::create().await;
    named(&world, "desks").await;
    let people = named(&world, "people").await;
    let desk = RelationshipDefinition::one_to_one("desk", "desks").inverse("person");
    let people = world.refer(&people, desk).await;
    let desks = world.tenant().register("desks").await.unwrap();
    let only = create(&desks, json!({"name": "1"})).await.id;
    let writers = (0..10).map(|n| {
        let rows = people.rows();
        tokio::spawn(async move {
            rows.create(draft(json!({"name": n.to_string(), "desk": only})))
                .await
        })
    });
    let writers: Vec<_> = writers.collect();
    let mut seated = 0;
    for writer in writers {
        match writer.await.unwrap() {
            Ok(_) => seated += 1,
            other => assert!(is_cardinality(other)),
        }
    }
    assert_eq!(seated, 1);
    assert_eq!(
        world.count("SELECT count(*) FROM forktex_data.link").await,
        1
    );
}

#[tokio::test]
async fn many_to_many_is_a_set_that_is_linked_and_replaced() {
    let world = World::create().await;
    named(&world, "tags").await;
    let notes = named(&world, "notes").await;
    let tags = RelationshipDefinition::many_to_many("tags", "tags").inverse("notes");
    let notes = world.refer(&notes, tags).await;
    let tags = world.tenant().register("tags").await.unwrap();
    // Made together, their ids are in this order.
    let drafts = ["a", "b", "c"].map(|name| draft(json!({"name": name})));
    let made = tags.rows().create_many(drafts.to_vec()).await.unwrap();
    let ids: Vec<RowId> = made.iter().map(|row| row.id).collect();
    let sorted = |row: &forktex_data::Row| {
        let mut ids: Vec<RowId> = row.references("tags").to_vec();
        ids.sort();
        ids
    };
    let note = create(
        &notes,
        json!({"name": "n", "tags": [ids[0], ids[1], ids[0]]}),
    )
    .await;
    assert_eq!(sorted(&note), ids[..2], "a set has no twins");
    let rows = notes.rows();
    rows.link(note.id, "tags", ids[2]).await.unwrap();
    rows.link(note.id, "tags", ids[2]).await.unwrap();
    assert_eq!(sorted(&rows.get(note.id).await.unwrap()), ids);
    rows.unlink(note.id, "tags", ids[0]).await.unwrap();
    assert_eq!(sorted(&rows.get(note.id).await.unwrap()), ids[1..]);
    let replaced = rows
        .patch(note.id, draft(json!({"tags": [ids[0]]})))
        .await
        .unwrap();
    assert_eq!(sorted(&replaced), ids[..1]);
    // From the other end, by the inverse name.
    tags.rows().link(ids[1], "notes", note.id).await.unwrap();
    assert_eq!(sorted(&rows.get(note.id).await.unwrap()), ids[..2]);
    let with = RowQuery::new(&notes)
        .with_related(["tags"])
        .scroll(10)
        .await
        .unwrap();
    let mut names: Vec<&str> = with.rows[0]
        .related("tags")
        .iter()
        .filter_map(|tag| tag.get("name").and_then(Value::as_str))
        .collect();
    names.sort_unstable();
    assert_eq!(names, ["a", "b"]);
}

/// `lines` of `invoices` of `clients`, with something computed at each end.
async fn shop(world: &World) -> [Register; 3] {
    let clients = named(world, "clients").await;
    let invoices = named(world, "invoices").await;
    let fields = [
        FieldDefinition::text("name"),
        FieldDefinition::decimal("price"),
        FieldDefinition::integer("pieces"),
        FieldDefinition::formula("amount", "price * pieces"),
    ];
    let lines = world.with_fields("lines", fields).await;
    let of_client = many_to_one("client", "clients", "invoices", OnDelete::Restrict);
    let invoices = world.refer(&invoices, of_client).await;
    let of_invoice = many_to_one("invoice", "invoices", "lines", OnDelete::Cascade);
    world.refer(&lines, of_invoice).await;
    let invoices = invoices.refresh().await.unwrap();
    let rollup = |name: &str, of: Rollup| FieldDefinition::rollup(name, "lines", of);
    let amount = || "amount".to_owned();
    let mut invoices = invoices;
    for field in [
        rollup("net", Rollup::Sum(amount())),
        rollup("count", Rollup::Count),
        rollup("least", Rollup::Min(amount())),
        rollup("most", Rollup::Max(amount())),
        rollup("mean", Rollup::Average(amount())),
        rollup("has_lines", Rollup::Exists),
        FieldDefinition::formula("gross", "net * 1.2"),
        FieldDefinition::lookup("client_name", "client", "name"),
    ] {
        invoices = invoices.add_field(field).await.unwrap();
    }
    let clients = clients.refresh().await.unwrap();
    let billed = FieldDefinition::rollup("billed", "invoices", Rollup::Sum("gross".to_owned()));
    clients.add_field(billed).await.unwrap();
    let tenant = world.tenant();
    [
        tenant.register("clients").await.unwrap(),
        tenant.register("invoices").await.unwrap(),
        tenant.register("lines").await.unwrap(),
    ]
}

/// A number of a row without what is written after the point in vain.
async fn number(register: &Register, id: RowId, field: &str) -> Option<f64> {
    let row = register.rows().get(id).await.unwrap();
    let json = row.get(field).map(Value::to_json)?;
    let text = json
        .as_str()
        .map_or_else(|| json.to_string(), str::to_owned);
    Some(text.parse().unwrap())
}

#[tokio::test]
async fn what_is_computed_follows_each_write_in_its_transaction() {
    let world = World::create().await;
    let [clients, invoices, lines] = shop(&world).await;
    let acme = create(&clients, json!({"name": "Acme"})).await.id;
    let bill = create(&invoices, json!({"name": "1", "client": acme})).await;
    assert_eq!(bill.get("client_name"), Some(&Value::from("Acme")));
    assert_eq!(number(&invoices, bill.id, "count").await, Some(0.0));
    let first = json!({"name": "a", "price": "10", "pieces": 2, "invoice": bill.id});
    let first = create(&lines, first).await;
    assert_eq!(first.get("amount").map(Value::to_json), Some(json!("20")));
    let second = json!({"name": "b", "price": "2.5", "pieces": 4, "invoice": bill.id});
    let second = create(&lines, second).await.id;
    let told = async || {
        let mut told = Vec::new();
        for field in ["net", "count", "least", "most", "mean", "gross"] {
            told.push(number(&invoices, bill.id, field).await);
        }
        told.push(number(&clients, acme, "billed").await);
        told
    };
    let expected = [30.0, 2.0, 10.0, 20.0, 15.0, 36.0, 36.0].map(Some);
    assert_eq!(told().await, expected);

    lines
        .rows()
        .patch(second, draft(json!({"pieces": 8})))
        .await
        .unwrap();
    assert_eq!(number(&clients, acme, "billed").await, Some(48.0));
    lines.rows().archive(second).await.unwrap();
    assert_eq!(
        number(&invoices, bill.id, "net").await,
        Some(20.0),
        "archived lines do not count"
    );
    lines.rows().restore(second).await.unwrap();
    lines.rows().delete(first.id).await.unwrap();
    assert_eq!(number(&clients, acme, "billed").await, Some(24.0));

    let other = create(&invoices, json!({"name": "2"})).await.id;
    lines
        .rows()
        .patch(second, Draft::new().reference("invoice", other))
        .await
        .unwrap();
    assert_eq!(number(&invoices, other, "net").await, Some(20.0));
    assert_eq!(number(&invoices, bill.id, "count").await, Some(0.0));
    let unbilled = number(&clients, acme, "billed").await;
    assert!(
        unbilled.is_none_or(|billed| billed.abs() < f64::EPSILON),
        "{unbilled:?}"
    );

    clients
        .rows()
        .patch(acme, draft(json!({"name": "Acme Ltd"})))
        .await
        .unwrap();
    let read = invoices.rows().get(bill.id).await.unwrap();
    assert_eq!(read.get("client_name"), Some(&Value::from("Acme Ltd")));
    invoices
        .rows()
        .patch(bill.id, draft(json!({"client": null})))
        .await
        .unwrap();
    let read = invoices.rows().get(bill.id).await.unwrap();
    assert!(read.get("client_name").is_none());
}

/// Computed fields are fields: filtered, sorted and, where that is asked for, indexed.
#[tokio::test]
async fn computed_fields_are_queried_as_others() {
    let world = World::create().await;
    let [_, invoices, lines] = shop(&world).await;
    for (name, pieces) in [("a", 3), ("b", 1), ("c", 2)] {
        let bill = create(&invoices, json!({"name": name})).await.id;
        create(
            &lines,
            json!({"price": "1", "pieces": pieces, "invoice": bill}),
        )
        .await;
    }
    let sorted = RowQuery::new(&invoices)
        .order_by("-net")
        .scroll(10)
        .await
        .unwrap();
    assert_eq!(crate::fixture::texts(&sorted, "name"), "acb");
    invoices.set_indexed("net", true).await.unwrap();
    world.maintain().await;
    let invoices = invoices.refresh().await.unwrap();
    let late = create(&lines, json!({"price": "5", "pieces": 1})).await.id;
    let b = RowQuery::new(&invoices)
        .filter(field("name").eq("b"))
        .first()
        .await
        .unwrap()
        .unwrap();
    lines
        .rows()
        .patch(late, Draft::new().reference("invoice", b.id))
        .await
        .unwrap();
    let found = RowQuery::new(&invoices)
        .filter(field("net").gte(3))
        .order_by("net")
        .require_index();
    assert_eq!(
        crate::fixture::texts(&found.scroll(10).await.unwrap(), "name"),
        "ab"
    );
}

#[tokio::test]
async fn a_circle_of_computed_fields_is_refused_with_its_path() {
    let world = World::create().await;
    let fields = [
        FieldDefinition::integer("a"),
        FieldDefinition::formula("b", "a + 1"),
        FieldDefinition::formula("c", "b + 1"),
    ];
    let register = world.with_fields("sums", fields).await;
    let before = world.snapshot().await;
    let own = register
        .add_field(FieldDefinition::formula("d", "d + 1"))
        .await
        .unwrap_err();
    assert!(own.to_string().contains('d'), "{own}");
    let fields = [
        FieldDefinition::formula("x", "y + 1"),
        FieldDefinition::formula("y", "x + 1"),
    ];
    let circle = crate::fixture::definition("circle", fields);
    let refused = world
        .tenant()
        .create_register(circle)
        .await
        .unwrap_err()
        .to_string();
    assert!(
        refused.contains("circle.x") && refused.contains("circle.y"),
        "{refused}"
    );
    assert_eq!(world.snapshot().await, before);

    // Across registers, over a rollup and a look-up.
    let sums = Rollup::Sum("looked_up".to_owned());
    let one =
        crate::fixture::definition("ones", [FieldDefinition::rollup("summed", "others", sums)]);
    let fields = [
        FieldDefinition::reference("one"),
        FieldDefinition::lookup("looked_up", "one", "summed"),
    ];
    let other = crate::fixture::definition("others", fields).relationship(many_to_one(
        "one",
        "ones",
        "others",
        OnDelete::Restrict,
    ));
    let document = forktex_data::SchemaDocument::new()
        .register(one)
        .register(other);
    let refused = world
        .tenant()
        .apply(&document)
        .await
        .unwrap_err()
        .to_string();
    assert!(
        refused.contains("ones.summed") && refused.contains("others.looked_up"),
        "{refused}"
    );
    assert_eq!(world.snapshot().await, before);
}

/// Beyond the bound the rows are left to maintenance, and a query that reads such a field says so.
#[tokio::test]
async fn what_is_not_recomputed_at_once_is_told_to_be_stale() {
    let world = World::create().await;
    let [clients, invoices, _] = shop(&world).await;
    let acme = create(&clients, json!({"name": "Acme"})).await.id;
    let drafts = (0..7).map(|n| draft(json!({"name": n.to_string(), "client": acme})));
    invoices.rows().create_many(drafts.collect()).await.unwrap();

    let data = Data::builder(&world.db)
        .recompute_rows_max(3)
        .build()
        .unwrap();
    let tenant = data.tenant(world.org);
    let clients = tenant.register("clients").await.unwrap();
    let invoices = tenant.register("invoices").await.unwrap();
    clients
        .rows()
        .patch(acme, draft(json!({"name": "New"})))
        .await
        .unwrap();
    let told = RowQuery::new(&invoices)
        .fields(["client_name"])
        .scroll(10)
        .await
        .unwrap();
    assert_eq!(told.stale_fields, ["client_name"]);
    let others = RowQuery::new(&invoices)
        .fields(["name", "net"])
        .scroll(10)
        .await
        .unwrap();
    assert!(others.stale_fields.is_empty(), "{:?}", others.stale_fields);

    tenant.run_maintenance().await.unwrap();
    let fresh = RowQuery::new(&invoices)
        .fields(["client_name"])
        .scroll(10)
        .await
        .unwrap();
    assert!(fresh.stale_fields.is_empty());
    assert_eq!(
        crate::fixture::texts(&fresh, "client_name"),
        "New".repeat(7)
    );
}

/// A computed field that is added later has values for the rows that were there.
#[tokio::test]
async fn a_computed_field_that_is_added_later_is_filled() {
    let world = World::create().await;
    let register = world
        .with_fields("sums", [FieldDefinition::integer("a")])
        .await;
    for a in 0..5 {
        create(&register, json!({"a": a})).await;
    }
    let register = register
        .add_field(FieldDefinition::formula("b", "a * 10"))
        .await
        .unwrap();
    let early = RowQuery::new(&register).scroll(10).await.unwrap();
    let is_filled = early.rows.iter().all(|row| row.get("b").is_some());
    assert!(
        is_filled || early.stale_fields == ["b"],
        "{:?}",
        early.stale_fields
    );
    world.maintain().await;
    let later = RowQuery::new(&register)
        .order_by("a")
        .scroll(10)
        .await
        .unwrap();
    assert!(later.stale_fields.is_empty());
    let values: Vec<Json> = later
        .rows
        .iter()
        .map(|row| row.get("b").map_or(Json::Null, Value::to_json))
        .collect();
    assert_eq!(values, [0, 10, 20, 30, 40].map(Json::from));
}

#[tokio::test]
async fn fields_that_are_not_asked_for_are_not_given() {
    let world = World::create().await;
    let [_, invoices, _] = shop(&world).await;
    create(&invoices, json!({"name": "a"})).await;
    let found = RowQuery::new(&invoices)
        .fields(["name"])
        .first()
        .await
        .unwrap()
        .unwrap();
    assert_eq!(found.cells().keys().collect::<Vec<_>>(), ["name"]);
    let refused = RowQuery::new(&invoices)
        .fields(["nam"])
        .first()
        .await
        .unwrap_err();
    assert!(refused.to_string().contains("name"), "{refused}");
}

/// The same sum by many writers at once as by one after another.
#[tokio::test]
async fn a_rollup_is_right_under_concurrency() {
    let world = World::create().await;
    let [_, invoices, lines] = shop(&world).await;
    let bill = create(&invoices, json!({"name": "1"})).await.id;
    let writers = (1..=12).map(|n| {
        let rows = lines.rows();
        tokio::spawn(async move {
            let line = json!({"price": "1", "pieces": n, "invoice": bill});
            rows.create(draft(line)).await.unwrap();
        })
    });
    let writers: Vec<_> = writers.collect();
    for writer in writers {
        writer.await.unwrap();
    }
    assert_eq!(number(&invoices, bill, "net").await, Some(78.0));
    assert_eq!(number(&invoices, bill, "count").await, Some(12.0));
}
