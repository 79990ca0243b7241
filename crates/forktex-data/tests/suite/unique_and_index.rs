// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! Unique fields and indexes: who may have a value, builds that were broken off, and that the server goes
//! by the side tables.

use forktex_data::{
    BuildState, DataError, Draft, FieldDefinition, Register, RowQuery, SchemaError, field,
};
use serde_json::json;

use crate::fixture::{World, create, draft, matching};

fn assert_duplicate<T: std::fmt::Debug>(outcome: Result<T, DataError>, field: &str) {
    let refused = outcome.unwrap_err();
    assert!(
        matches!(&refused, DataError::Duplicate { field: told, .. } if told == field),
        "{refused:?}"
    );
}

#[tokio::test]
async fn a_unique_value_is_had_once() {
    let world = World::create().await;
    let fields = [
        FieldDefinition::text("code").unique(),
        FieldDefinition::decimal("rate").unique(),
        FieldDefinition::datetime("at").unique(),
    ];
    let register = world.with_fields("codes", fields).await;
    let rows = register.rows();
    let first = create(
        &register,
        json!({"code": "A", "rate": "1.50", "at": "2026-01-01T00:00:00Z"}),
    )
    .await;
    assert_duplicate(rows.create(draft(json!({"code": "A"}))).await, "code");
    assert_duplicate(rows.create(draft(json!({"rate": "1.5"}))).await, "rate");
    let same_instant = draft(json!({"at": "2026-01-01T01:00:00+01:00"}));
    assert_duplicate(rows.create(same_instant).await, "at");
    let lower = create(&register, json!({"code": "a"})).await;
    assert_duplicate(
        rows.patch(lower.id, draft(json!({"code": "A"}))).await,
        "code",
    );
    assert_duplicate(rows.upsert("x", draft(json!({"code": "A"}))).await, "code");
    // Any number of rows may have none.
    for _ in 0..3 {
        create(&register, json!({})).await;
        create(&register, json!({"code": null})).await;
    }
    // Two rows of one call may not share one, nor may one that was given up be kept by anybody.
    let twins = vec![draft(json!({"code": "T"})), draft(json!({"code": "T"}))];
    assert!(rows.create_many(twins).await.is_err());
    rows.patch(first.id, draft(json!({"code": "B"})))
        .await
        .unwrap();
    create(&register, json!({"code": "A"})).await;
}

#[tokio::test]
async fn an_archived_row_frees_its_unique_values() {
    let world = World::create().await;
    let register = world
        .with_fields("codes", [FieldDefinition::text("code").unique()])
        .await;
    let rows = register.rows();
    let old = create(&register, json!({"code": "A"})).await;
    rows.archive(old.id).await.unwrap();
    let new = create(&register, json!({"code": "A"})).await;
    assert_duplicate(rows.restore(old.id).await, "code");
    assert!(
        rows.get(old.id).await.unwrap().archived_at.is_some(),
        "it stays archived"
    );
    rows.delete(new.id).await.unwrap();
    rows.restore(old.id).await.unwrap();
    assert_duplicate(rows.create(draft(json!({"code": "A"}))).await, "code");
}

#[tokio::test]
async fn of_many_who_want_a_value_at_once_one_gets_it() {
    let world = World::create().await;
    let register = world
        .with_fields("codes", [FieldDefinition::text("code").unique()])
        .await;
    let writers = (0..16).map(|_| {
        let rows = register.rows();
        tokio::spawn(async move { rows.create(draft(json!({"code": "A"}))).await })
    });
    let writers: Vec<_> = writers.collect();
    let mut made = 0;
    for writer in writers {
        match writer.await.unwrap() {
            Ok(_) => made += 1,
            Err(error) => assert!(matches!(error, DataError::Duplicate { .. }), "{error:?}"),
        }
    }
    assert_eq!(made, 1);
    assert_eq!(RowQuery::new(&register).count_rows().await.unwrap(), 1);
}

#[tokio::test]
async fn a_field_with_duplicates_cannot_become_unique() {
    let world = World::create().await;
    let register = world
        .with_fields("codes", [FieldDefinition::text("code")])
        .await;
    for code in ["A", "B", "A", "C", "C"] {
        create(&register, json!({"code": code})).await;
    }
    let refused = register.set_unique("code", true).await.unwrap_err();
    assert!(
        matches!(
            refused,
            DataError::Schema(SchemaError::Duplicates { values: 2, .. })
        ),
        "{refused:?}"
    );
    let state = unique_state(&world, "codes").await;
    assert_eq!(state, "none", "the field is as it was");
    world.maintain().await;
    assert_eq!(
        world
            .count("SELECT count(*) FROM forktex_data.unique_value")
            .await,
        0
    );
    create(&register, json!({"code": "A"})).await;
}

async fn unique_state(world: &World, register: &str) -> String {
    let statement = format!(
        "SELECT f.unique_state FROM forktex_data.field f
           JOIN forktex_data.register r ON r.key = f.register_key WHERE r.name = '{register}'"
    );
    forktex_db::sqlx::query_scalar(forktex_db::sqlx::AssertSqlSafe(statement))
        .fetch_one(world.administrator.pool())
        .await
        .unwrap()
}

/// More rows than one batch of a build.
const ROWS: usize = 6_000;

async fn numbered(world: &World) -> Register {
    let fields = [
        FieldDefinition::text("name"),
        FieldDefinition::integer("rank"),
    ];
    let register = world.with_fields("numbered", fields).await;
    let drafts = (0..ROWS).map(|n| {
        let rank = i64::try_from(n % 100).unwrap();
        let draft = Draft::new().set("name", format!("n{n:05}"));
        if n % 10 == 0 {
            draft.null("rank")
        } else {
            draft.set("rank", rank)
        }
    });
    register.rows().create_many(drafts.collect()).await.unwrap();
    register
}

async fn ready(world: &World, register: &Register, field: &str) -> Register {
    world.maintain().await;
    let register = register.refresh().await.unwrap();
    assert_eq!(
        register.field(field).unwrap().index_state(),
        BuildState::Ready
    );
    register
}

const ENTRIES: &str = "
    SELECT (SELECT count(*) FROM forktex_data.value_text) + (SELECT count(*) FROM forktex_data.value_number)";

#[tokio::test]
async fn an_index_is_built_over_the_rows_that_are_there() {
    let world = World::create().await;
    let register = numbered(&world).await;
    let expected = RowQuery::new(&register)
        .filter(field("rank").eq(7))
        .count_rows()
        .await
        .unwrap();
    register.set_indexed("rank", true).await.unwrap();
    let register = ready(&world, &register, "rank").await;
    register.set_indexed("name", true).await.unwrap();
    let register = ready(&world, &register, "name").await;
    let rows = i64::try_from(ROWS).unwrap();
    assert_eq!(
        world.count(ENTRIES).await,
        2 * rows,
        "one entry for each row, empties included"
    );
    let found = RowQuery::new(&register)
        .filter(field("rank").eq(7))
        .count_rows()
        .await
        .unwrap();
    assert_eq!(found, expected);
    let empty = RowQuery::new(&register)
        .filter(field("rank").is_empty())
        .count_rows()
        .await;
    assert_eq!(empty.unwrap(), 600);

    register.set_indexed("rank", false).await.unwrap();
    world.maintain().await;
    assert_eq!(
        world
            .count("SELECT count(*) FROM forktex_data.value_number")
            .await,
        0
    );
}

/// A build that was broken off goes on where it was; queries do not go by it before it is whole, and what
/// is written meanwhile is in it.
#[tokio::test]
async fn a_build_that_was_broken_off_is_resumed() {
    let world = World::create().await;
    let register = numbered(&world).await;
    register.set_indexed("name", true).await.unwrap();
    let register = ready(&world, &register, "name").await;
    // As a process that died after its first batch leaves it.
    world
        .execute(
            "UPDATE forktex_data.field SET index_state = 'building', index_after =
                 (SELECT id FROM forktex_data.row ORDER BY id OFFSET 1999 LIMIT 1)
              WHERE name = 'name';
             DELETE FROM forktex_data.value_text WHERE row_id >
                 (SELECT id FROM forktex_data.row ORDER BY id OFFSET 1999 LIMIT 1)",
        )
        .await;
    let building = register.refresh().await.unwrap();
    assert_eq!(
        building.field("name").unwrap().index_state(),
        BuildState::Building
    );
    let late = field("name").gte("n05990");
    let found = RowQuery::new(&building)
        .filter(late.clone())
        .count_rows()
        .await
        .unwrap();
    assert_eq!(found, 10, "an index that is not whole is not gone by");

    let last = RowQuery::new(&building)
        .order_by("-id")
        .first()
        .await
        .unwrap()
        .unwrap();
    building
        .rows()
        .patch(last.id, draft(json!({"name": "z"})))
        .await
        .unwrap();
    create(&building, json!({"name": "zz"})).await;
    let early = RowQuery::new(&building)
        .order_by("id")
        .first()
        .await
        .unwrap()
        .unwrap();
    building.rows().delete(early.id).await.unwrap();

    let register = ready(&world, &building, "name").await;
    let rows = i64::try_from(ROWS).unwrap();
    assert_eq!(
        world
            .count("SELECT count(*) FROM forktex_data.value_text")
            .await,
        rows
    );
    let stray = "
        SELECT count(*) FROM forktex_data.value_text v
         WHERE NOT EXISTS (SELECT FROM forktex_data.row r
                            WHERE r.id = v.row_id AND r.cells->>(v.field_key::text) IS NOT DISTINCT FROM v.value)";
    assert_eq!(
        world.count(stray).await,
        0,
        "each entry is what its row says"
    );
    let found = RowQuery::new(&register)
        .filter(field("name").gte("n05990"))
        .count_rows()
        .await;
    assert_eq!(found.unwrap(), 11, "nine of before, and two of meanwhile");
}

/// Writers and a build at the same time: each row has its one entry, with the value that it has.
#[tokio::test]
async fn writes_during_a_build_are_in_the_index() {
    let world = World::create().await;
    let register = numbered(&world).await;
    let some = RowQuery::new(&register).scroll(1_000).await.unwrap();
    let building = {
        let register = register.clone();
        let tenant = world.tenant();
        tokio::spawn(async move {
            register.set_indexed("rank", true).await.unwrap();
            tenant.run_maintenance().await.unwrap();
        })
    };
    let mut n = 1_000;
    for row in some.rows.iter().step_by(5) {
        n += 1;
        register
            .rows()
            .patch(row.id, Draft::new().set("rank", n))
            .await
            .unwrap();
    }
    building.await.unwrap();
    ready(&world, &register, "rank").await;
    let stray = "
        SELECT count(*) FROM forktex_data.row r
          JOIN forktex_data.field f ON f.register_key = r.register_key AND f.name = 'rank'
         WHERE (SELECT count(*) FROM forktex_data.value_number v
                 WHERE v.field_key = f.key AND v.row_id = r.id
                   AND v.value IS NOT DISTINCT FROM (r.cells->>(f.key::text))::numeric) <> 1";
    assert_eq!(world.count(stray).await, 0);
    let entries = world
        .count("SELECT count(*) FROM forktex_data.value_number")
        .await;
    assert_eq!(entries, i64::try_from(ROWS).unwrap());
}

async fn plan(query: RowQuery) -> String {
    query.explain().await.unwrap().plan
}

/// As a service connects: with row-level security in the way, an operator must be leakproof to be a
/// condition of an index.
#[tokio::test]
async fn the_planner_goes_by_the_side_tables() {
    let world = World::create().await;
    let fields = [
        FieldDefinition::text("name").indexed().searchable(),
        FieldDefinition::integer("rank").indexed(),
        FieldDefinition::text("plain"),
    ];
    let register = world.with_fields("numbered", fields).await;
    let drafts = (0..10_000_i64).map(|n| {
        let name = format!("n{n:05}");
        Draft::new()
            .set("plain", name.clone())
            .set("name", name)
            .set("rank", n)
    });
    register.rows().create_many(drafts.collect()).await.unwrap();
    world.execute("VACUUM ANALYZE").await;
    let all = || RowQuery::new(&register);
    for (what, query, index) in [
        (
            "a text",
            all().filter(field("name").eq("n00007")),
            "value_text_entry",
        ),
        (
            "a beginning",
            all().filter(field("name").gte("n09990")),
            "value_text_entry",
        ),
        (
            "a number",
            all().filter(field("rank").between(10, 20)),
            "value_number_entry",
        ),
        (
            "a list",
            all().filter(field("rank").is_in([1, 5, 9_999])),
            "value_number_entry",
        ),
        ("an order", all().order_by("-rank"), "value_number_entry"),
        (
            "both",
            all().filter(field("name").gte("n05000")).order_by("name"),
            "value_text_entry",
        ),
        (
            "a choice",
            all().filter(field("rank").eq(1) | field("name").eq("n00002")),
            "value_",
        ),
    ] {
        let told = query.explain().await.unwrap();
        assert!(told.warnings.is_empty(), "{what}: {:?}", told.warnings);
        assert!(told.plan.contains(index), "{what}:\n{}", told.plan);
        // The definition's version is read beside them; the test has three registers.
        let mut scans = told.plan.lines().filter(|line| line.contains("Seq Scan"));
        assert!(
            scans.all(|line| line.contains("Seq Scan on register ")),
            "{what}:\n{}",
            told.plan
        );
    }
    let searched = plan(all().search("n00007")).await;
    assert!(searched.contains("search_word"), "{searched}");
    assert!(!searched.contains("Seq Scan on search_word"), "{searched}");
}

#[tokio::test]
async fn a_filter_without_an_index_is_warned_about_and_can_be_refused() {
    let world = World::create().await;
    let register = numbered(&world).await;
    let by_rank = || RowQuery::new(&register).filter(field("rank").eq(7));
    let told = by_rank().explain().await.unwrap();
    assert!(
        told.warnings.iter().any(|warning| warning.field == "rank"),
        "{:?}",
        told.warnings
    );
    for refused in [
        by_rank().require_index().scroll(10).await.err(),
        by_rank().require_index().count_rows().await.err(),
        RowQuery::new(&register)
            .order_by("name")
            .require_index()
            .scroll(10)
            .await
            .err(),
    ] {
        let refused = refused.unwrap();
        assert!(
            matches!(refused, DataError::Unindexed { .. }),
            "{refused:?}"
        );
    }
    assert_eq!(
        matching(&register, field("name").eq("n00001"))
            .await
            .unwrap(),
        "n00001"
    );
    register.set_indexed("rank", true).await.unwrap();
    let register = ready(&world, &register, "rank").await;
    let by_rank = RowQuery::new(&register)
        .filter(field("rank").eq(7))
        .require_index();
    assert_eq!(by_rank.scroll(100).await.unwrap().rows.len(), 60);
}

#[tokio::test]
async fn what_cannot_be_indexed_is_refused() {
    let world = World::create().await;
    let fields = [
        FieldDefinition::json("document"),
        FieldDefinition::text("long").length(0..=5_000),
        FieldDefinition::text("short"),
    ];
    let register = world.with_fields("odd", fields).await;
    let before = world.snapshot().await;
    assert!(register.set_indexed("document", true).await.is_err());
    assert!(register.set_indexed("long", true).await.is_err());
    assert!(register.set_indexed("nothing", true).await.is_err());
    assert!(register.set_unique("long", true).await.is_err());
    assert!(register.set_searchable("document", true).await.is_err());
    assert_eq!(world.snapshot().await, before);
}

/// The cap of indexed fields: one more is refused, and nothing of it stays.
#[tokio::test]
async fn a_register_has_only_so_many_indexes() {
    let world = World::create().await;
    let fields = (0..32).map(|n| FieldDefinition::integer(format!("f{n}")).indexed());
    let register = world.with_fields("wide", fields).await;
    let before = world.snapshot().await;
    let one_more = FieldDefinition::integer("one_more").indexed();
    let refused = register.add_field(one_more).await.unwrap_err();
    assert!(refused.to_string().contains("32"), "{refused}");
    assert_eq!(world.snapshot().await, before);
    register
        .add_field(FieldDefinition::integer("plain"))
        .await
        .unwrap();
    assert!(register.set_indexed("plain", true).await.is_err());
}

/// A field that is dropped leaves no entry behind, and one of the same name begins anew.
#[tokio::test]
async fn a_dropped_field_leaves_nothing_behind() {
    use forktex_data::Destructive;

    let world = World::create().await;
    let fields = [FieldDefinition::text("code")
        .indexed()
        .unique()
        .searchable()];
    let register = world.with_fields("codes", fields).await;
    create(&register, json!({"code": "A"})).await;
    let register = register
        .drop_field("code", Destructive::Allowed)
        .await
        .unwrap();
    let again = FieldDefinition::text("code").indexed().unique();
    let register = register.add_field(again).await.unwrap();
    let found = RowQuery::new(&register)
        .filter(field("code").eq("A"))
        .count_rows()
        .await;
    assert_eq!(found.unwrap(), 0);
    create(&register, json!({"code": "A"})).await;
    world.maintain().await;
    assert_eq!(
        world
            .count("SELECT count(*) FROM forktex_data.unique_value")
            .await,
        1
    );
    assert_eq!(
        world
            .count("SELECT count(*) FROM forktex_data.value_text")
            .await,
        2
    );
}

/// A handle from before an index was dropped goes by the register as it is: an index that is gone finds
/// nothing, and must not be believed.
#[tokio::test]
async fn a_query_by_an_old_handle_does_not_go_by_an_index_that_is_gone() {
    let world = World::create().await;
    let register = numbered(&world).await;
    register.set_indexed("rank", true).await.unwrap();
    let old = ready(&world, &register, "rank").await;
    old.set_indexed("rank", false).await.unwrap();
    world.maintain().await;
    assert_eq!(
        world
            .count("SELECT count(*) FROM forktex_data.value_number")
            .await,
        0
    );
    let by_rank = || RowQuery::new(&old).filter(field("rank").eq(7));
    assert_eq!(by_rank().scroll(100).await.unwrap().rows.len(), 60);
    assert_eq!(by_rank().count_rows().await.unwrap(), 60);
    assert_eq!(
        RowQuery::new(&old)
            .order_by("rank")
            .scroll(50)
            .await
            .unwrap()
            .rows
            .len(),
        50
    );
    let facets = by_rank().facets(["name"]).scroll(1).await.unwrap();
    assert_eq!(facets.facets["name"].len(), 60);
    let renamed = register
        .refresh()
        .await
        .unwrap()
        .rename_field("rank", "place")
        .await
        .unwrap();
    let gone = by_rank().scroll(100).await;
    assert!(gone.is_err(), "the field has another name now");
    assert_eq!(
        RowQuery::new(&renamed)
            .filter(field("place").eq(7))
            .count_rows()
            .await
            .unwrap(),
        60
    );
}
