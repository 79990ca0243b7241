// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! The type of a field changes while it is in use: tried first, never half done, and undone to what it
//! was.

use forktex_data::{
    Cell, DataError, Draft, FieldDefinition, Register, Row, RowQuery, TypeChangeError,
    TypeChangeState, Value, ValueKind, field,
};
use serde_json::{Value as Json, json};

use crate::fixture::{World, create, draft};

/// Ages as texts: most of them numbers.
async fn people(world: &World) -> Register {
    let fields = [FieldDefinition::text("name"), FieldDefinition::text("age")];
    let register = world
        .register(crate::fixture::definition("people", fields).keeps_history())
        .await;
    for (name, age) in [
        ("a", json!("31")),
        ("b", json!("-4")),
        ("c", json!("forty")),
        ("d", Json::Null),
        ("e", json!("12.5")),
        ("f", json!("")),
    ] {
        create(&register, json!({"name": name, "age": age})).await;
    }
    create(&register, json!({"name": "g"})).await;
    register
}

/// All rows by name, with the cell in JSON.
async fn ages(register: &Register) -> Vec<(String, Option<Json>)> {
    let found = RowQuery::new(register)
        .order_by("name")
        .scroll(100)
        .await
        .unwrap();
    let age = |row: &Row| match row.cell("age") {
        Cell::Absent => None,
        Cell::Null => Some(Json::Null),
        Cell::Value(value) => Some(value.to_json()),
    };
    let name = |row: &Row| {
        row.get("name")
            .and_then(Value::as_str)
            .unwrap_or_default()
            .to_owned()
    };
    found.rows.iter().map(|row| (name(row), age(row))).collect()
}

fn kind(register: &Register) -> ValueKind {
    register.field("age").unwrap().kind()
}

fn to_integer() -> FieldDefinition {
    FieldDefinition::integer("age")
}

#[tokio::test]
async fn a_plan_tells_what_converts_and_what_does_not() {
    let world = World::create().await;
    let people = people(&world).await;
    let before = world.snapshot().await;
    let plan = people
        .change_type("age", to_integer())
        .plan()
        .await
        .unwrap();
    assert_eq!(plan.rows, 7);
    assert_eq!(plan.convert, 2, "{plan:?}");
    assert!(plan.fail >= 2, "{plan:?}");
    assert_eq!(plan.convert + plan.fail + plan.empty, 7);
    let samples: Vec<&Json> = plan.samples.iter().map(|sample| &sample.before).collect();
    assert!(
        samples.contains(&&json!("forty")) && samples.contains(&&json!("12.5")),
        "{samples:?}"
    );
    assert_eq!(world.snapshot().await, before, "nothing was changed");
}

#[tokio::test]
async fn a_change_that_would_lose_a_value_is_not_completed() {
    let world = World::create().await;
    let people = people(&world).await;
    let before = ages(&people).await;
    let refused = people.change_type("age", to_integer()).await.unwrap_err();
    let DataError::TypeChange(TypeChangeError::Unconvertible { id, failed }) = refused else {
        panic!("{refused:?}");
    };
    assert!(failed >= 2);
    let people = people.refresh().await.unwrap();
    assert_eq!(kind(&people), ValueKind::Text);
    assert_eq!(ages(&people).await, before);
    // Mended by those who write, and then resumed.
    for (name, age) in [("c", "40"), ("e", "12"), ("f", "0")] {
        let found = RowQuery::new(&people)
            .filter(field("name").eq(name))
            .first()
            .await;
        let id = found.unwrap().unwrap().id;
        people
            .rows()
            .patch(id, Draft::new().set("age", age))
            .await
            .unwrap();
    }
    let report = world.tenant().resume_type_change(id).await.unwrap();
    assert_eq!(report.state, TypeChangeState::Done);
    let people = people.refresh().await.unwrap();
    let expected = [
        ("a", Some(json!(31))),
        ("b", Some(json!(-4))),
        ("c", Some(json!(40))),
        ("d", Some(Json::Null)),
        ("e", Some(json!(12))),
        ("f", Some(json!(0))),
        ("g", None),
    ];
    let expected = expected.map(|(name, age)| (name.to_owned(), age));
    assert_eq!(ages(&people).await, expected);
}

#[tokio::test]
async fn a_change_is_undone_to_what_it_was() {
    let world = World::create().await;
    let people = people(&world).await;
    let before = ages(&people).await;
    let versions: Vec<i64> = versions(&people).await;
    let history = world
        .count("SELECT count(*) FROM forktex_data.history")
        .await;
    let report = people
        .change_type("age", to_integer())
        .empty_what_fails()
        .await
        .unwrap();
    assert_eq!(report.state, TypeChangeState::Done);
    let changed = people.refresh().await.unwrap();
    assert_eq!(kind(&changed), ValueKind::Integer);
    let now = ages(&changed).await;
    assert_eq!(
        (&now[0].1, &now[2].1),
        (&Some(json!(31)), &Some(Json::Null))
    );
    assert_eq!(
        self::versions(&changed).await,
        versions,
        "the rows are the same rows"
    );
    assert_eq!(
        world
            .count("SELECT count(*) FROM forktex_data.history")
            .await,
        history
    );
    let found = RowQuery::new(&changed)
        .filter(field("age").gt(0))
        .count_rows()
        .await
        .unwrap();
    assert_eq!(found, 1, "it is a number now");

    let back = world.tenant().undo_type_change(report.id).await.unwrap();
    let undone = changed.refresh().await.unwrap();
    assert_eq!(kind(&undone), ValueKind::Text);
    assert_eq!(
        ages(&undone).await,
        before,
        "every cell, those that were emptied too"
    );
    let again = world.tenant().undo_type_change(report.id).await;
    assert!(again.is_err(), "{again:?}");
    let listed = world.tenant().type_changes("people").await.unwrap();
    assert!(
        listed
            .iter()
            .any(|change| change.id == back.id || change.id == report.id)
    );
}

async fn versions(register: &Register) -> Vec<i64> {
    let found = RowQuery::new(register)
        .order_by("name")
        .scroll(100)
        .await
        .unwrap();
    found.rows.iter().map(|row| row.version).collect()
}

/// What is written between the change and its undoing is kept where it can be.
#[tokio::test]
async fn what_was_written_since_is_converted_back() {
    let world = World::create().await;
    let people = people(&world).await;
    let report = people
        .change_type("age", to_integer())
        .empty_what_fails()
        .await
        .unwrap();
    let changed = people.refresh().await.unwrap();
    let a = RowQuery::new(&changed)
        .filter(field("name").eq("a"))
        .first()
        .await
        .unwrap()
        .unwrap();
    changed
        .rows()
        .patch(a.id, Draft::new().set("age", 99))
        .await
        .unwrap();
    create(&changed, json!({"name": "h", "age": 7})).await;
    world.tenant().undo_type_change(report.id).await.unwrap();
    let undone = people.refresh().await.unwrap();
    let now = ages(&undone).await;
    assert_eq!(now[0], ("a".to_owned(), Some(json!("99"))));
    assert_eq!(now[2], ("c".to_owned(), Some(json!("forty"))));
    assert_eq!(now[7], ("h".to_owned(), Some(json!("7"))));
}

/// Started and left to maintenance: writers go on with the old type until it is done.
#[tokio::test]
async fn writers_go_on_while_cells_are_converted() {
    let world = World::create().await;
    let people = people(&world).await;
    let id = people
        .change_type("age", to_integer())
        .empty_what_fails()
        .start()
        .await
        .unwrap();
    let during = people.refresh().await.unwrap();
    assert_eq!(
        kind(&during),
        ValueKind::Text,
        "until all cells are there, it is what it was"
    );
    create(&during, json!({"name": "h", "age": "55"})).await;
    let a = RowQuery::new(&during)
        .filter(field("name").eq("a"))
        .first()
        .await
        .unwrap()
        .unwrap();
    during
        .rows()
        .patch(a.id, draft(json!({"age": "32"})))
        .await
        .unwrap();
    let second = people
        .change_type("age", FieldDefinition::decimal("age"))
        .start()
        .await
        .unwrap_err();
    assert!(
        matches!(
            second,
            DataError::TypeChange(TypeChangeError::UnderWay { .. })
        ),
        "{second:?}"
    );
    world.maintain().await;
    let after = people.refresh().await.unwrap();
    assert_eq!(kind(&after), ValueKind::Integer);
    let now = ages(&after).await;
    assert_eq!(now[0].1, Some(json!(32)));
    assert_eq!(now[7], ("h".to_owned(), Some(json!(55))));
    // A handle from before the change writes by the definition that there is now.
    people
        .rows()
        .patch(a.id, draft(json!({"age": 33})))
        .await
        .unwrap();
    assert!(
        people
            .rows()
            .patch(a.id, draft(json!({"age": "34"})))
            .await
            .is_err()
    );
    let done = world.tenant().resume_type_change(id).await.unwrap();
    assert_eq!(
        done.state,
        TypeChangeState::Done,
        "once done, there is nothing to resume"
    );
}

/// Readers and writers at the same time: one type or the other, and no row is lost.
#[tokio::test]
async fn readers_see_one_type_or_the_other() {
    let world = World::create().await;
    let fields = [
        FieldDefinition::text("name"),
        FieldDefinition::text("age").indexed(),
    ];
    let register = world.with_fields("people", fields).await;
    let drafts =
        (0..3_000).map(|n| draft(json!({"name": n.to_string(), "age": (n % 90).to_string()})));
    register.rows().create_many(drafts.collect()).await.unwrap();
    let changing = {
        let register = register.clone();
        tokio::spawn(async move {
            register
                .change_type("age", to_integer().indexed())
                .await
                .unwrap()
        })
    };
    let mut seen = [0, 0];
    while !changing.is_finished() {
        let current = register.refresh().await.unwrap();
        let found = RowQuery::new(&current).scroll(1_000).await.unwrap();
        let texts = found
            .rows
            .iter()
            .filter(|row| row.get("age").is_some_and(|age| age.as_str().is_some()));
        let texts = texts.count();
        assert!(texts == 0 || texts == 1_000, "{texts} of 1,000 are texts");
        seen[usize::from(texts == 0)] += 1;
        let row = &found.rows[0];
        // Whichever type it has by now, one of the two fits.
        let as_text = register
            .rows()
            .patch(row.id, draft(json!({"age": "18"})))
            .await;
        if as_text.is_err() {
            register
                .rows()
                .patch(row.id, draft(json!({"age": 18})))
                .await
                .unwrap();
        }
    }
    let report = changing.await.unwrap();
    assert_eq!(report.state, TypeChangeState::Done, "{seen:?}");
    world.maintain().await;
    let after = register.refresh().await.unwrap();
    assert_eq!(RowQuery::new(&after).count_rows().await.unwrap(), 3_000);
    let without = RowQuery::new(&after)
        .filter(field("age").is_empty())
        .count_rows()
        .await
        .unwrap();
    assert_eq!(without, 0);
    let by_index = RowQuery::new(&after)
        .filter(field("age").between(0, 89))
        .require_index();
    assert_eq!(by_index.count_rows().await.unwrap(), 3_000);
    let stray = "SELECT count(*) FROM forktex_data.value_text";
    assert_eq!(
        world.count(stray).await,
        0,
        "the entries of the old type are gone"
    );
}

#[tokio::test]
async fn values_survive_a_way_there_and_back() {
    let world = World::create().await;
    for (name, from, to, value) in [
        (
            "d",
            FieldDefinition::decimal("v"),
            FieldDefinition::text("v"),
            json!("1234567.8901"),
        ),
        (
            "i",
            FieldDefinition::integer("v"),
            FieldDefinition::decimal("v"),
            json!(i64::MAX),
        ),
        (
            "b",
            FieldDefinition::boolean("v"),
            FieldDefinition::text("v"),
            json!(true),
        ),
        (
            "day",
            FieldDefinition::date("v"),
            FieldDefinition::text("v"),
            json!("2024-02-29"),
        ),
        (
            "e",
            FieldDefinition::one_of("v", ["draft", "paid"]),
            FieldDefinition::text("v"),
            json!("paid"),
        ),
        (
            "u",
            FieldDefinition::uuid("v"),
            FieldDefinition::text("v"),
            json!("00000000-0000-4000-8000-000000000001"),
        ),
    ] {
        let register = world.with_fields(name, [from.clone()]).await;
        let row = create(&register, json!({"v": value})).await;
        register.change_type("v", to).await.unwrap();
        let there = register.refresh().await.unwrap();
        there.change_type("v", from).await.unwrap();
        let back = there
            .refresh()
            .await
            .unwrap()
            .rows()
            .get(row.id)
            .await
            .unwrap();
        assert_eq!(back.get("v").map(Value::to_json), Some(value), "{name}");
    }
}

#[tokio::test]
async fn a_change_that_others_cannot_bear_is_refused() {
    let world = World::create().await;
    let fields = [
        FieldDefinition::integer("count"),
        FieldDefinition::formula("twice", "count * 2"),
        FieldDefinition::number("number"),
    ];
    let register = world.with_fields("sums", fields).await;
    create(&register, json!({"count": 2})).await;
    let refused = register
        .change_type("count", FieldDefinition::date("count"))
        .await;
    assert!(refused.is_err());
    let register = register.refresh().await.unwrap();
    assert_eq!(register.field("count").unwrap().kind(), ValueKind::Integer);
    for name in ["twice", "number", "nothing"] {
        assert!(
            register
                .change_type(name, FieldDefinition::text(name))
                .plan()
                .await
                .is_err(),
            "{name}"
        );
    }
    // A type that the formula can read: it is recomputed.
    register
        .change_type("count", FieldDefinition::decimal("count"))
        .await
        .unwrap();
    world.maintain().await;
    let register = register.refresh().await.unwrap();
    let row = RowQuery::new(&register).first().await.unwrap().unwrap();
    assert_eq!(row.get("twice").map(Value::to_json), Some(json!("4")));
}
