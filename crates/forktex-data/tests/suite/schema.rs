// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! The schema as data: described, applied, tried first, and never destructive by accident.

use forktex_data::{
    Archived, DataError, Destructive, FieldDefinition, OnDelete, RegisterDefinition,
    RelationshipDefinition, Rollup, RowQuery, SchemaDocument, SchemaError, Value, field,
};
use serde_json::json;
use uuid::Uuid;

use crate::fixture::{World, create, definition, draft, many_to_one};

/// One of everything.
fn everything() -> SchemaDocument {
    let clients = definition(
        "clients",
        [
            FieldDefinition::text("name")
                .required()
                .unique()
                .searchable()
                .label("Name"),
            FieldDefinition::rollup("billed", "invoices", Rollup::Sum("net".to_owned())),
            FieldDefinition::rollup("bills", "invoices", Rollup::Count),
        ],
    );
    let invoices = definition(
        "invoices",
        [
            FieldDefinition::number("number"),
            FieldDefinition::text("code")
                .length(1..=20)
                .pattern("^[A-Z]+$"),
            FieldDefinition::one_of("status", ["draft", "paid"])
                .indexed()
                .default_value("draft"),
            FieldDefinition::decimal("net").scale(2).indexed(),
            FieldDefinition::integer("days").range(0, 90),
            FieldDefinition::boolean("is_paid"),
            FieldDefinition::date("issued_at").indexed(),
            FieldDefinition::datetime("sent_at"),
            FieldDefinition::uuid("key"),
            FieldDefinition::json("extra"),
            FieldDefinition::formula("gross", "net * 1.2"),
            FieldDefinition::reference("client"),
            FieldDefinition::lookup("client_name", "client", "name"),
        ],
    )
    .keeps_history()
    .description("What was billed")
    .relationship(many_to_one(
        "client",
        "clients",
        "invoices",
        OnDelete::Restrict,
    ))
    .relationship(RelationshipDefinition::many_to_many("copies", "clients").inverse("copied"));
    SchemaDocument::new().register(clients).register(invoices)
}

#[tokio::test]
async fn c61_applying_what_is_described_changes_nothing() {
    let world = World::create().await;
    let tenant = world.tenant();
    let made = tenant.apply(&everything()).await.unwrap();
    assert!(made.applied && !made.changes.is_empty(), "{made:?}");
    let described = tenant.describe().await.unwrap();
    let before = world.snapshot().await;
    for prune in [false, true] {
        let again = tenant.apply(&described);
        let again = if prune {
            again.prune().allow_destructive()
        } else {
            again
        };
        let report = again.await.unwrap();
        assert!(report.changes.is_empty(), "{:?}", report.changes);
        assert_eq!(world.snapshot().await, before, "nothing was written");
    }
    assert_eq!(tenant.describe().await.unwrap(), described);
    // As JSON and back, as it lies in a file.
    let text = serde_json::to_string_pretty(&described).unwrap();
    let read: SchemaDocument = serde_json::from_str(&text).unwrap();
    assert!(tenant.apply(&read).await.unwrap().changes.is_empty());
    // The first document, which was not described by us, is satisfied too.
    assert!(
        tenant
            .apply(&everything())
            .await
            .unwrap()
            .changes
            .is_empty()
    );
}

#[tokio::test]
async fn c61_a_drop_without_allow_destructive_is_refused_and_nothing_is_written() {
    let world = World::create().await;
    let tenant = world.tenant();
    tenant.apply(&everything()).await.unwrap();
    let invoices = tenant.register("invoices").await.unwrap();
    create(&invoices, json!({"code": "A", "net": "1.00"})).await;
    let before = world.snapshot().await;

    let described = tenant.describe().await.unwrap();
    let mut without_field = described.clone();
    for register in &mut without_field.registers {
        register.fields.retain(|field| field.name != "code");
        // New things stand beside the drop, so that a half of it would show.
        let extra = FieldDefinition::text("added");
        register.fields.push(extra);
    }
    let mut without_register = described.clone();
    without_register
        .registers
        .retain(|register| register.name != "invoices");
    for register in &mut without_register.registers {
        register
            .fields
            .retain(|field| !field.field_type.is_computed());
    }
    for document in [&without_field, &without_register] {
        let refused = tenant.apply(document).prune().await.unwrap_err();
        assert!(
            matches!(refused, DataError::Destructive { .. }),
            "{refused:?}"
        );
        assert_eq!(world.snapshot().await, before, "nothing was written");
    }
    let refused = invoices
        .drop_field("code", Destructive::Refused)
        .await
        .unwrap_err();
    assert!(
        matches!(refused, DataError::Destructive { .. }),
        "{refused:?}"
    );
    let refused = tenant
        .drop_register("invoices", Destructive::Refused)
        .await
        .unwrap_err();
    assert!(
        matches!(refused, DataError::Destructive { .. }),
        "{refused:?}"
    );
    assert_eq!(world.snapshot().await, before, "nothing was written");

    let report = tenant
        .apply(&without_field)
        .prune()
        .allow_destructive()
        .await
        .unwrap();
    assert!(report.applied);
    let invoices = invoices.refresh().await.unwrap();
    assert!(invoices.field("code").is_none() && invoices.field("added").is_some());
}

/// Without `prune`, what the document does not name stays.
#[tokio::test]
async fn what_a_document_does_not_name_stays_unless_it_is_pruned() {
    let world = World::create().await;
    let tenant = world.tenant();
    tenant.apply(&everything()).await.unwrap();
    let part = || definition("invoices", [FieldDefinition::text("extra_text")]);
    let report = tenant
        .apply(&SchemaDocument::new().register(part()))
        .dry_run()
        .await
        .unwrap();
    assert_eq!(
        report.changes.len(),
        2,
        "what a register is itself, the document says"
    );
    let was = tenant.register("invoices").await.unwrap().definition();
    let mut part = part();
    part.description.clone_from(&was.description);
    part.keeps_history = was.keeps_history;
    let report = tenant
        .apply(&SchemaDocument::new().register(part))
        .await
        .unwrap();
    assert_eq!(report.changes.len(), 1, "{:?}", report.changes);
    let invoices = tenant.register("invoices").await.unwrap();
    assert!(invoices.field("net").is_some() && invoices.field("extra_text").is_some());
    assert!(tenant.register("clients").await.is_ok());
}

#[tokio::test]
async fn a_dry_run_tells_all_and_writes_nothing() {
    let world = World::create().await;
    let tenant = world.tenant();
    let before = world.snapshot().await;
    let told = tenant.apply(&everything()).dry_run().await.unwrap();
    assert!(!told.applied && !told.changes.is_empty());
    assert_eq!(world.snapshot().await, before);
    let done = tenant.apply(&everything()).await.unwrap();
    assert_eq!(told.changes, done.changes, "what was told is what is done");

    // A dry run of a drop tells it, though it would be refused.
    let nothing = SchemaDocument::new();
    let before = world.snapshot().await;
    let told = tenant.apply(&nothing).prune().dry_run().await.unwrap();
    assert!(!told.changes.is_empty());
    assert_eq!(world.snapshot().await, before);
}

#[tokio::test]
async fn a_document_with_a_fault_changes_nothing() {
    let world = World::create().await;
    let tenant = world.tenant();
    let good = || definition("good", [FieldDefinition::text("name")]);
    let before = world.snapshot().await;
    let bad_target = definition("bad", [FieldDefinition::reference("client")])
        .relationship(RelationshipDefinition::many_to_one("client", "nobody").inverse("bads"));
    for bad in [
        definition("Bad Name", []),
        definition("good", []),
        definition(
            "bad",
            [FieldDefinition::text("a"), FieldDefinition::integer("a")],
        ),
        definition("bad", [FieldDefinition::text("id")]),
        definition("bad", [FieldDefinition::formula("f", "nothing + 1")]),
        definition("bad", [FieldDefinition::formula("f", "1 +")]),
        definition("bad", [FieldDefinition::lookup("l", "nowhere", "name")]),
        definition("bad", [FieldDefinition::reference("nowhere")]),
        definition("bad", [FieldDefinition::custom("c", "unheard_of")]),
        definition("bad", [FieldDefinition::text("t").pattern("(")]),
        definition("bad", [FieldDefinition::one_of("e", Vec::<&str>::new())]),
        definition("bad", [FieldDefinition::json("j").indexed()]),
        definition("bad", [FieldDefinition::integer("i").default_value("one")]),
        bad_target,
    ] {
        let document = SchemaDocument::new().register(good()).register(bad.clone());
        let refused = tenant.apply(&document).await;
        assert!(refused.is_err(), "{bad:?}");
        assert_eq!(world.snapshot().await, before, "{bad:?}");
    }
    tenant
        .apply(&SchemaDocument::new().register(good()))
        .await
        .unwrap();
}

#[tokio::test]
async fn a_type_is_not_changed_by_the_way() {
    let world = World::create().await;
    let tenant = world.tenant();
    tenant.apply(&everything()).await.unwrap();
    let mut document = tenant.describe().await.unwrap();
    for register in &mut document.registers {
        for field in &mut register.fields {
            if field.name == "days" {
                field.field_type = FieldDefinition::text("days").field_type;
            }
        }
    }
    let refused = tenant
        .apply(&document)
        .allow_destructive()
        .await
        .unwrap_err();
    assert!(
        matches!(refused, DataError::Schema(SchemaError::TypeChange { .. })),
        "{refused:?}"
    );
}

/// Renaming and adding touch no row, and values stay.
#[tokio::test]
async fn names_change_and_rows_do_not() {
    let world = World::create().await;
    let fields = [
        FieldDefinition::text("name").indexed().unique(),
        FieldDefinition::integer("net"),
    ];
    let register = world.with_fields("notes", fields).await;
    let register = register
        .add_field(FieldDefinition::formula("double", "net * 2"))
        .await
        .unwrap();
    let row = create(&register, json!({"name": "a", "net": 4})).await;
    assert_eq!(row.get("double").map(Value::to_json), Some(json!(8)));
    let rows = "SELECT string_agg(xmin::text, ',') FROM forktex_data.row";
    let rows_before: Option<String> = forktex_db::sqlx::query_scalar(rows)
        .fetch_one(world.administrator.pool())
        .await
        .unwrap();
    let renamed = register.rename_field("net", "amount").await.unwrap();
    let renamed = renamed.rename_field("name", "title").await.unwrap();
    let renamed = renamed
        .add_field(FieldDefinition::text("more").default_value("m"))
        .await
        .unwrap();
    let rows_after: Option<String> = forktex_db::sqlx::query_scalar(rows)
        .fetch_one(world.administrator.pool())
        .await
        .unwrap();
    assert_eq!(rows_before, rows_after, "no row was touched");

    let read = renamed.rows().get(row.id).await.unwrap();
    assert_eq!(read.get("title"), Some(&Value::from("a")));
    assert_eq!(read.get("amount"), Some(&Value::Integer(4)));
    let patched = renamed
        .rows()
        .patch(row.id, draft(json!({"amount": 5})))
        .await
        .unwrap();
    assert_eq!(
        patched.get("double").map(Value::to_json),
        Some(json!(10)),
        "the formula goes along"
    );
    let found = RowQuery::new(&renamed)
        .filter(field("title").eq("a"))
        .count_rows()
        .await
        .unwrap();
    assert_eq!(found, 1);
    let refused = renamed.rename_field("title", "amount").await.unwrap_err();
    assert!(
        matches!(
            refused,
            DataError::AlreadyExists { .. } | DataError::Schema(SchemaError::NameTaken { .. })
        ),
        "{refused:?}"
    );
}

#[tokio::test]
async fn each_version_is_kept_with_who_made_it() {
    let world = World::create().await;
    let tenant = world.tenant();
    let user = Uuid::now_v7();
    let register = world
        .with_fields("notes", [FieldDefinition::text("name")])
        .await;
    assert_eq!(register.version(), 1);
    let acting = register.acting_as(user);
    let second = acting
        .add_field(FieldDefinition::integer("count"))
        .await
        .unwrap();
    assert_eq!(second.version(), 2);
    let mut versions = tenant.versions("notes").await.unwrap();
    versions.sort_by_key(|version| version.version);
    let told: Vec<_> = versions
        .iter()
        .map(|version| {
            (
                version.version,
                version.definition.fields.len(),
                version.changed_by,
            )
        })
        .collect();
    assert_eq!(told, [(1, 1, None), (2, 2, Some(user))]);
    assert_eq!(register.refresh().await.unwrap().version(), 2);
}

/// Two who change one register at once: both changes are there, and versions have no hole.
#[tokio::test]
async fn changes_of_one_register_at_once_are_all_made() {
    let world = World::create().await;
    let register = world
        .with_fields("notes", [FieldDefinition::text("name")])
        .await;
    let adding = (0..8).map(|n| {
        let register = register.clone();
        tokio::spawn(async move {
            register
                .add_field(FieldDefinition::integer(format!("f{n}")))
                .await
                .unwrap();
        })
    });
    let adding: Vec<_> = adding.collect();
    for added in adding {
        added.await.unwrap();
    }
    let register = register.refresh().await.unwrap();
    assert_eq!((register.fields().len(), register.version()), (9, 9));
}

#[tokio::test]
async fn a_dropped_register_takes_all_that_was_its_own() {
    let world = World::create().await;
    let tenant = world.tenant();
    tenant.apply(&everything()).await.unwrap();
    let clients = tenant.register("clients").await.unwrap();
    let invoices = tenant.register("invoices").await.unwrap();
    let client = create(&clients, json!({"name": "c"})).await.id;
    create(
        &invoices,
        json!({"code": "A", "client": client, "net": "2.00"}),
    )
    .await;

    let refused = tenant.drop_register("clients", Destructive::Allowed).await;
    assert!(refused.is_err(), "others go by it");
    let mut document = tenant.describe().await.unwrap();
    document
        .registers
        .retain(|register| register.name == "clients");
    document.registers[0]
        .fields
        .retain(|field| field.name == "name");
    tenant
        .apply(&document)
        .prune()
        .allow_destructive()
        .await
        .unwrap();
    world.maintain().await;
    let left = tenant.registers().await.unwrap();
    assert_eq!(
        left.iter()
            .map(|register| register.name.as_str())
            .collect::<Vec<_>>(),
        ["clients"]
    );
    for table in ["link", "value_number", "counter", "history"] {
        let rows = world
            .count(&format!("SELECT count(*) FROM forktex_data.{table}"))
            .await;
        assert_eq!(rows, 0, "{table}");
    }
    assert_eq!(
        world.count("SELECT count(*) FROM forktex_data.row").await,
        1
    );
    let again = tenant
        .create_register(RegisterDefinition::new("invoices"))
        .await
        .unwrap();
    let all = RowQuery::new(&again)
        .archived(Archived::Include)
        .count_rows()
        .await
        .unwrap();
    assert_eq!(all, 0, "a register of the same name begins empty");
}

#[tokio::test]
async fn a_name_is_had_once() {
    let world = World::create().await;
    let tenant = world.tenant();
    tenant
        .create_register(RegisterDefinition::new("notes"))
        .await
        .unwrap();
    let refused = tenant
        .create_register(RegisterDefinition::new("notes"))
        .await
        .unwrap_err();
    assert!(
        matches!(refused, DataError::AlreadyExists { .. }),
        "{refused:?}"
    );
    let unknown = tenant.register("note").await.unwrap_err();
    let DataError::RegisterNotFound { nearest, .. } = unknown else {
        panic!("{unknown:?}");
    };
    assert_eq!(nearest.as_deref(), Some("notes"));
}
