// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! Rows: three states of a cell, every way to change one, versions, history and numbers without gaps.

use std::collections::BTreeSet;

use forktex_data::{
    Archived, Cell, CellProblem, DataError, Draft, FieldDefinition, Register, RowQuery, Value,
};
use serde_json::json;
use uuid::Uuid;

use crate::fixture::{World, create, definition, draft, texts};

async fn notes(world: &World) -> Register {
    let fields = [
        FieldDefinition::text("name").indexed(),
        FieldDefinition::text("note"),
        FieldDefinition::integer("count").default_value(7),
    ];
    world
        .register(definition("notes", fields).keeps_history())
        .await
}

#[tokio::test]
async fn absent_null_and_a_value_are_told_apart() {
    let world = World::create().await;
    let notes = notes(&world).await;
    let row = create(&notes, json!({"name": "a"})).await;
    assert_eq!(row.cell("note"), Cell::Absent);
    assert_eq!(
        row.cell("count"),
        Cell::Value(Value::Integer(7)),
        "the default is for the absent"
    );
    let nulls = create(&notes, json!({"name": null, "note": null, "count": null})).await;
    for field in ["name", "note", "count"] {
        assert_eq!(
            nulls.cell(field),
            Cell::Null,
            "{field}: null is no wish for the default"
        );
    }
    let read = notes.rows().get(nulls.id).await.unwrap();
    assert_eq!(read.cell("name"), Cell::Null);
    let empty = create(&notes, json!({"note": ""})).await;
    assert_eq!(
        empty.cell("note"),
        Cell::Value(Value::from("")),
        "an empty text is a value"
    );
}

#[tokio::test]
async fn a_json_field_keeps_the_null_of_json_apart_from_an_emptied_cell() {
    let world = World::create().await;
    let register = world
        .with_fields("documents", [FieldDefinition::json("body")])
        .await;
    let as_value = Draft::new().set("body", Value::Json(json!(null)));
    let as_value = register.rows().create(as_value).await.unwrap();
    let emptied = register
        .rows()
        .create(Draft::new().null("body"))
        .await
        .unwrap();
    let read = async |id| register.rows().get(id).await.unwrap().cell("body");
    assert_eq!(
        read(as_value.id).await,
        Cell::Value(Value::Json(json!(null)))
    );
    assert_eq!(read(emptied.id).await, Cell::Null);
    let nested = json!({"a": [1, 2.5, null, {"b": "c"}], "": true});
    let nested_row = create(&register, json!({"body": nested})).await;
    assert_eq!(read(nested_row.id).await, Cell::Value(Value::Json(nested)));
}

#[tokio::test]
async fn a_patch_merges_and_a_replacement_replaces() {
    let world = World::create().await;
    let notes = notes(&world).await;
    let row = create(&notes, json!({"name": "a", "note": "n", "count": 1})).await;
    assert_eq!(row.version, 1);

    let patched = notes
        .rows()
        .patch(row.id, draft(json!({"note": null})))
        .await
        .unwrap();
    assert_eq!(patched.version, 2);
    assert_eq!(patched.get("name"), Some(&Value::from("a")));
    assert_eq!(patched.cell("note"), Cell::Null);
    assert!(patched.updated_at >= row.updated_at && patched.created_at == row.created_at);

    let unset = notes
        .rows()
        .patch(row.id, Draft::new().unset("note"))
        .await
        .unwrap();
    assert_eq!(unset.cell("note"), Cell::Absent);

    let same = notes
        .rows()
        .patch(row.id, draft(json!({"name": "a"})))
        .await
        .unwrap();
    assert_eq!(
        same.version, unset.version,
        "what changes nothing is no change"
    );

    let replaced = notes
        .rows()
        .replace(row.id, draft(json!({"note": "new"})))
        .await
        .unwrap();
    assert_eq!(replaced.cell("name"), Cell::Absent);
    assert_eq!(
        replaced.cell("count"),
        Cell::Value(Value::Integer(7)),
        "the default, as in a new row"
    );
    assert_eq!(
        notes.rows().get(row.id).await.unwrap().cell("note"),
        replaced.cell("note")
    );
}

#[tokio::test]
async fn an_upsert_goes_by_the_reference_of_another_system() {
    let world = World::create().await;
    let notes = notes(&world).await;
    let first = notes
        .rows()
        .upsert("A-1", draft(json!({"name": "a", "note": "n"})))
        .await
        .unwrap();
    assert!(first.created);
    assert_eq!(first.row.external_ref.as_deref(), Some("A-1"));
    let second = notes
        .rows()
        .upsert("A-1", draft(json!({"name": "b"})))
        .await
        .unwrap();
    assert!(!second.created);
    assert_eq!((second.row.id, second.row.version), (first.row.id, 2));
    assert_eq!(
        second.row.get("note"),
        Some(&Value::from("n")),
        "an upsert merges"
    );
    let found = notes.rows().by_external_ref("A-1").await.unwrap().unwrap();
    assert_eq!(found.id, first.row.id);
    assert!(notes.rows().by_external_ref("A-2").await.unwrap().is_none());
    let taken = Draft::new().external_ref("A-1");
    let refused = notes.rows().create(taken).await.unwrap_err();
    assert!(
        matches!(&refused, DataError::Duplicate { field, .. } if field == "external_ref"),
        "{refused:?}"
    );
}

#[tokio::test]
async fn upserts_of_one_reference_at_once_make_one_row() {
    let world = World::create().await;
    let notes = notes(&world).await;
    let upserts = (0..12).map(|n| {
        let rows = notes.rows();
        tokio::spawn(async move {
            rows.upsert("same", draft(json!({"count": n})))
                .await
                .unwrap()
        })
    });
    let upserts: Vec<_> = upserts.collect();
    let (mut ids, mut created) = (BTreeSet::new(), 0);
    for upsert in upserts {
        let upsert = upsert.await.unwrap();
        ids.insert(upsert.row.id);
        created += usize::from(upsert.created);
    }
    assert_eq!((ids.len(), created), (1, 1));
}

#[tokio::test]
async fn a_version_that_was_not_seen_is_not_overwritten() {
    let world = World::create().await;
    let notes = notes(&world).await;
    let row = create(&notes, json!({"name": "a"})).await;
    let rows = notes.rows();
    rows.patch(row.id, draft(json!({"name": "b"})))
        .expect_version(1)
        .await
        .unwrap();
    let renamed = || draft(json!({"name": "c"}));
    for (what, outcome) in [
        (
            "patch",
            rows.patch(row.id, renamed()).expect_version(1).await,
        ),
        (
            "replace",
            rows.replace(row.id, renamed()).expect_version(1).await,
        ),
        ("archive", rows.archive(row.id).expect_version(1).await),
        (
            "delete",
            rows.delete(row.id)
                .expect_version(1)
                .await
                .map(|_| row.clone()),
        ),
    ] {
        let refused = outcome.unwrap_err();
        assert!(
            matches!(
                refused,
                DataError::VersionConflict {
                    expected: 1,
                    found: 2,
                    ..
                }
            ),
            "{what}: {refused:?}"
        );
    }
    assert_eq!(
        rows.get(row.id).await.unwrap().get("name"),
        Some(&Value::from("b"))
    );
}

/// Of those who go by the same version, one wins.
#[tokio::test]
async fn one_of_many_writers_by_the_same_version_wins() {
    let world = World::create().await;
    let notes = notes(&world).await;
    let row = create(&notes, json!({"count": 0})).await;
    let writers = (0..8).map(|n| {
        let rows = notes.rows();
        tokio::spawn(async move {
            rows.patch(row.id, draft(json!({"count": n + 1})))
                .expect_version(1)
                .await
        })
    });
    let writers: Vec<_> = writers.collect();
    let mut won = 0;
    for writer in writers {
        match writer.await.unwrap() {
            Ok(_) => won += 1,
            Err(DataError::VersionConflict { .. }) => {}
            Err(other) => panic!("{other:?}"),
        }
    }
    assert_eq!(won, 1);
}

/// Patches of different fields of one row at once are all kept.
#[tokio::test]
async fn no_patch_is_lost() {
    let world = World::create().await;
    let fields = (0..12).map(|n| FieldDefinition::integer(format!("f{n}")).indexed());
    let register = world.with_fields("wide", fields).await;
    let row = create(&register, json!({})).await;
    let writers = (0..12).map(|n| {
        let rows = register.rows();
        tokio::spawn(async move {
            rows.patch(row.id, Draft::new().set(format!("f{n}"), i64::from(n)))
                .await
                .unwrap();
        })
    });
    let writers: Vec<_> = writers.collect();
    for writer in writers {
        writer.await.unwrap();
    }
    let read = register.rows().get(row.id).await.unwrap();
    for n in 0..12_i64 {
        assert_eq!(read.get(&format!("f{n}")), Some(&Value::Integer(n)));
    }
    assert_eq!(read.version, 13);
    let entries = world
        .count("SELECT count(*) FROM forktex_data.value_number")
        .await;
    assert_eq!(
        entries, 12,
        "one entry for each indexed field, whatever was written"
    );
}

#[tokio::test]
async fn archived_rows_are_out_of_sight_and_come_back() {
    let world = World::create().await;
    let notes = notes(&world).await;
    for name in ["a", "b", "c"] {
        create(&notes, json!({"name": name})).await;
    }
    let all = RowQuery::new(&notes)
        .order_by("name")
        .scroll(10)
        .await
        .unwrap();
    let middle = all.rows[1].id;
    let archived = notes.rows().archive(middle).await.unwrap();
    assert!(archived.archived_at.is_some());
    for (which, expected) in [
        (Archived::Exclude, "ac"),
        (Archived::Only, "b"),
        (Archived::Include, "abc"),
    ] {
        let query = RowQuery::new(&notes).order_by("name").archived(which);
        assert_eq!(texts(&query.scroll(10).await.unwrap(), "name"), expected);
    }
    assert!(
        notes
            .rows()
            .get(middle)
            .await
            .unwrap()
            .archived_at
            .is_some(),
        "an id still finds it"
    );
    let again = notes.rows().archive(middle).await.unwrap();
    assert_eq!(again.version, archived.version);
    let restored = notes.rows().restore(middle).await.unwrap();
    assert_eq!(
        (restored.archived_at, restored.version),
        (None, archived.version + 1)
    );
    assert_eq!(RowQuery::new(&notes).count_rows().await.unwrap(), 3);
    notes.rows().delete(middle).await.unwrap();
    assert!(notes.rows().get(middle).await.unwrap_err().is_not_found());
}

#[tokio::test]
async fn history_tells_who_changed_what() {
    let world = World::create().await;
    let notes = notes(&world).await;
    let (ann, ben) = (Uuid::now_v7(), Uuid::now_v7());
    let anns = notes.acting_as(ann).rows();
    let row = anns.create(draft(json!({"name": "a"}))).await.unwrap();
    let bens = notes.acting_as(ben).rows();
    bens.patch(row.id, draft(json!({"name": "b"})))
        .await
        .unwrap();
    bens.archive(row.id).await.unwrap();
    let history = notes.rows().history(row.id).await.unwrap();
    let mut told: Vec<(i64, String, Option<Uuid>)> = history
        .iter()
        .map(|version| {
            (
                version.version,
                version.action.as_str().to_owned(),
                version.changed_by,
            )
        })
        .collect();
    told.sort_by_key(|version| version.0);
    let expected = [
        (1, "created", ann),
        (2, "updated", ben),
        (3, "archived", ben),
    ];
    let expected = expected.map(|(version, action, user)| (version, action.to_owned(), Some(user)));
    assert_eq!(told, expected);
    let names: BTreeSet<String> = history
        .iter()
        .filter_map(|version| {
            version
                .get("name")
                .and_then(Value::as_str)
                .map(str::to_owned)
        })
        .collect();
    assert_eq!(names.into_iter().collect::<Vec<_>>(), ["a", "b"]);
}

#[tokio::test]
async fn a_register_that_keeps_no_history_has_none() {
    let world = World::create().await;
    let register = world
        .with_fields("plain", [FieldDefinition::text("name")])
        .await;
    let row = create(&register, json!({"name": "a"})).await;
    register
        .rows()
        .patch(row.id, draft(json!({"name": "b"})))
        .await
        .unwrap();
    assert_eq!(
        world
            .count("SELECT count(*) FROM forktex_data.history")
            .await,
        0
    );
}

/// Numbers are given in the order of commits and none is skipped, though some writers fail.
#[tokio::test]
async fn numbers_have_no_gap_under_concurrency() {
    let world = World::create().await;
    let fields = [
        FieldDefinition::number("number"),
        FieldDefinition::integer("even").range(0, 100),
    ];
    let register = world.with_fields("invoices", fields).await;
    let writers = (0..40_i64).map(|n| {
        let rows = register.rows();
        // Each fourth is refused by its own values; each fifth makes three at once.
        tokio::spawn(async move {
            let value = if n % 4 == 0 { 101 } else { 2 };
            let drafts = || Draft::new().set("even", value);
            if n % 5 == 0 {
                rows.create_many(vec![drafts(), drafts(), drafts()])
                    .await
                    .map(|made| made.len())
            } else {
                rows.create(drafts()).await.map(|_| 1)
            }
        })
    });
    let writers: Vec<_> = writers.collect();
    let mut made = 0;
    for writer in writers {
        made += writer.await.unwrap().unwrap_or_default();
    }
    let found = RowQuery::new(&register)
        .order_by("number")
        .scroll(200)
        .await
        .unwrap();
    let numbers: Vec<i64> = found
        .rows
        .iter()
        .filter_map(|row| row.get("number").and_then(Value::as_integer))
        .collect();
    let expected: Vec<i64> = (1..=i64::try_from(made).unwrap()).collect();
    assert!(made > 20, "{made}");
    assert_eq!(numbers, expected);
}

#[tokio::test]
async fn a_number_is_ours_to_give() {
    let world = World::create().await;
    let register = world
        .with_fields("invoices", [FieldDefinition::number("number")])
        .await;
    let refused = register
        .rows()
        .create(Draft::new().set("number", 7))
        .await
        .unwrap_err();
    let DataError::Row { problems, .. } = &refused else {
        panic!("{refused:?}");
    };
    let told: Vec<_> = problems.iter().collect();
    assert!(
        matches!(told[..], [("number", CellProblem::ReadOnly)]),
        "{told:?}"
    );
}

#[tokio::test]
async fn many_rows_are_made_together_or_not_at_all() {
    let world = World::create().await;
    let notes = notes(&world).await;
    let drafts = (0..500)
        .map(|n| draft(json!({"name": format!("{n:03}"), "count": n})))
        .collect();
    let made = notes.rows().create_many(drafts).await.unwrap();
    assert_eq!(made.len(), 500);
    assert!(
        made.iter().map(|row| row.id).is_sorted(),
        "ids are in the order of the drafts"
    );
    assert_eq!(made[7].get("count"), Some(&Value::Integer(7)));
    let before = world.snapshot().await;
    let mut drafts: Vec<Draft> = (0..10).map(|n| draft(json!({"count": n}))).collect();
    drafts[6] = draft(json!({"count": "six"}));
    let refused = notes.rows().create_many(drafts).await.unwrap_err();
    assert!(
        matches!(refused, DataError::Draft { index: 6, .. }),
        "{refused:?}"
    );
    assert_eq!(world.snapshot().await, before);
    assert!(
        notes
            .rows()
            .create_many(Vec::new())
            .await
            .unwrap()
            .is_empty()
    );
}

/// Rows and statements of the caller's own stand or fall together.
#[tokio::test]
async fn rows_can_be_written_in_a_transaction_of_the_caller() {
    let world = World::create().await;
    let notes = notes(&world).await;
    let outcome = world
        .db
        .for_org(world.org)
        .transaction(async |tx| -> Result<(), DataError> {
            let mut tx = tx.for_org(world.org).await?;
            let row = notes
                .rows_in(&mut tx)
                .create(draft(json!({"name": "a"})))
                .await?;
            let patched = notes
                .rows_in(&mut tx)
                .patch(row.id, draft(json!({"name": "b"})))
                .await?;
            assert_eq!(patched.get("name"), Some(&Value::from("b")));
            notes
                .rows_in(&mut tx)
                .get(forktex_data::RowId::from(Uuid::now_v7()))
                .await?;
            Ok(())
        })
        .await;
    assert!(outcome.unwrap_err().is_not_found());
    assert_eq!(
        RowQuery::new(&notes).count_rows().await.unwrap(),
        0,
        "nothing of it stands"
    );
}

/// A write by a handle from before a change of the register goes by the register as it is.
#[tokio::test]
async fn a_write_never_goes_by_an_old_definition() {
    let world = World::create().await;
    let old = notes(&world).await;
    let new = old
        .add_field(FieldDefinition::integer("year").default_value(2026))
        .await
        .unwrap();
    let row = create(&old, json!({"name": "a"})).await;
    let read = new.rows().get(row.id).await.unwrap();
    assert_eq!(read.get("year"), Some(&Value::Integer(2026)));
    let new = new.rename_field("note", "remark").await.unwrap();
    let row = create(&old, json!({"remark": "r"})).await;
    assert_eq!(
        new.rows().get(row.id).await.unwrap().get("remark"),
        Some(&Value::from("r"))
    );
    let refused = old
        .rows()
        .create(draft(json!({"note": "n"})))
        .await
        .unwrap_err();
    assert!(matches!(refused, DataError::Row { .. }), "{refused:?}");
}

#[derive(Debug, PartialEq, serde::Deserialize, serde::Serialize)]
struct Written {
    name: String,
    count: i64,
    note: Option<String>,
}

#[tokio::test]
async fn a_row_comes_from_a_struct_and_becomes_one() {
    let world = World::create().await;
    let notes = notes(&world).await;
    let note = Written {
        name: "a".to_owned(),
        count: 3,
        note: None,
    };
    let row = notes
        .rows()
        .create(Draft::from_serialize(&note).unwrap())
        .await
        .unwrap();
    assert_eq!(row.decode::<Written>().unwrap(), note);
}
