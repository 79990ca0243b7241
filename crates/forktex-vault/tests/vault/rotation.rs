// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! Rotation of a column that nobody else writes: what it changes, sets aside, refuses and reports.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use forktex_db::{Db, DbError, DbOptions, Model, row_security, sqlx};
use forktex_vault::{
    BadRowKind, Encrypted, Key, RotationError, Scheme, Text, Token, Vault, rotate_blobs,
};

use sqlx::{AssertSqlSafe, Executor as _};
use uuid::Uuid;

use crate::fixture::{Fixture, TABLE, label, payload, place, value, write_payload};

#[tokio::test]
async fn every_value_ends_under_the_new_key_and_a_whole_pass_proves_it() {
    let fixture = Fixture::with_rows(250).await;
    fixture
        .execute("UPDATE app.credential SET payload = NULL WHERE id = 250")
        .await;
    let report = fixture.rotation("payload").batch_rows(40).run().await;
    let report = report.unwrap();
    fixture.assert_rotated(249).await;
    assert!(report.is_complete(), "{report}");
    assert_eq!(
        (report.rotated, report.passes, report.scanned),
        (249, 2, 500)
    );
    assert_eq!((report.already_current, report.lost_swaps), (249, 0));
    let nulls = fixture
        .count("SELECT count(*) FROM app.credential WHERE payload IS NULL")
        .await;
    assert_eq!(nulls, 1);

    // Once more: nothing to do, and the proof is new.
    let again = fixture.rotation("payload").run().await.unwrap();
    assert_eq!((again.rotated, again.passes), (0, 1));
    assert!(again.clean_as_of > report.clean_as_of);
}

#[tokio::test]
async fn rows_that_are_done_are_passed_over_and_each_of_the_rest_is_found() {
    let fixture = Fixture::with_rows(600).await;
    fixture.rotation("payload").run().await.unwrap();
    // Where strides begin and end, and among rows of which the server cannot say that they are done.
    let old = Vault::from_key(&fixture.old);
    let late = [1, 2, 11, 50, 51, 211, 212, 540, 600];
    for id in late {
        let written = write_payload(&fixture.db, &old, id, &value(id)).await;
        written.unwrap();
    }
    fixture
        .execute("UPDATE app.credential SET payload = NULL WHERE id BETWEEN 213 AND 230")
        .await;
    let planned = fixture.rotation("payload").batch_rows(10).dry_run();
    assert_eq!(planned.run().await.unwrap().rotated, 9);

    let report = fixture.rotation("payload").batch_rows(10).run().await;
    let report = report.unwrap();
    assert!(report.is_complete(), "{report}");
    assert_eq!((report.rotated, report.passes), (9, 2));
    assert_eq!(
        (report.scanned, report.already_current),
        (1_200, 2 * (600 - 18) - 9)
    );
    let opened = fixture.payloads().await;
    assert_eq!(opened.len(), 600 - 18);
    assert!(opened.iter().all(|(id, text)| *text == Ok(value(*id))));
}

#[tokio::test]
async fn a_text_column_rotates_and_keeps_the_time_of_sealing() {
    let fixture = Fixture::with_rows(30).await;
    let cells = async || -> Vec<(i64, Encrypted<String, Text>)> {
        sqlx::query_as("SELECT id, label FROM app.credential ORDER BY id")
            .fetch_all(fixture.db.pool())
            .await
            .unwrap()
    };
    let before = cells().await;
    let report = fixture.rotation("label").batch_rows(7).run().await.unwrap();
    assert!(report.is_complete(), "{report}");
    let vault = Vault::from_key(&fixture.new);
    for ((id, old), (_, new)) in before.iter().zip(cells().await) {
        assert_eq!(new.open(&vault.bound(place("label", *id))), Ok(value(*id)));
        assert_eq!(new.token().sealed_at(), old.token().sealed_at());
    }
}

#[tokio::test]
async fn ids_of_other_types_and_odd_names_are_borne() {
    let fixture = Fixture::with_rows(0).await;
    let table = "app.odd \"{table}\" name";
    fixture
        .execute(
            "CREATE TABLE app.\"odd \"\"{table}\"\" name\" (
                 \"{id}\" uuid PRIMARY KEY DEFAULT gen_random_uuid(), \"a'b\" varchar(400)
             )",
        )
        .await;
    let ids: Vec<uuid::Uuid> = (0..50).map(|_| uuid::Uuid::new_v4()).collect();
    let old = Vault::from_key(&fixture.old);
    let cells: Vec<Encrypted<u8, Text>> = ids
        .iter()
        .map(|id| Encrypted::seal(&old.context(table, "a'b", id), &7).unwrap())
        .collect();
    sqlx::query("INSERT INTO app.\"odd \"\"{table}\"\" name\" SELECT * FROM unnest($1, $2)")
        .bind(&ids)
        .bind(cells)
        .execute(fixture.db.pool())
        .await
        .unwrap();
    let report = rotate_blobs(&fixture.db, table, "a'b")
        .id_column("{id}")
        .from(&fixture.old)
        .to(&fixture.new)
        .batch_rows(9)
        .run()
        .await
        .unwrap();
    assert_eq!((report.rotated, report.is_complete()), (50, true));
    let rows: Vec<(uuid::Uuid, Encrypted<u8, Text>)> =
        sqlx::query_as("SELECT * FROM app.\"odd \"\"{table}\"\" name\"")
            .fetch_all(fixture.db.pool())
            .await
            .unwrap();
    let new = Vault::from_key(&fixture.new);
    for (id, cell) in rows {
        assert_eq!(cell.open(&new.context(table, "a'b", id)), Ok(7));
    }
}

#[tokio::test]
async fn bad_rows_are_set_aside_listed_without_contents_and_tried_again() {
    let fixture = Fixture::with_rows(20).await;
    let stranger = Vault::from_key(&Key::generate().unwrap());
    let moved = payload(&Vault::from_key(&fixture.old), 9, "MARKED-PLAINTEXT");
    let fernet = Vault::from_key(&fixture.old).scheme(Scheme::Fernet);
    let cells: [(i64, Vec<u8>); 4] = [
        (3, b"MARKED plaintext".to_vec()),
        (5, payload(&stranger, 5, "x").token().to_bytes()),
        (8, moved.token().to_bytes()),
        (11, payload(&fernet, 11, "x").token().to_bytes()),
    ];
    for (id, bytes) in cells {
        sqlx::query("UPDATE app.credential SET payload = $2 WHERE id = $1")
            .bind(id)
            .bind(bytes)
            .execute(fixture.db.pool())
            .await
            .unwrap();
    }
    let report = fixture.rotation("payload").batch_rows(6).run().await;
    let report = report.unwrap();
    assert_eq!((report.rotated, report.quarantined), (16, 4));
    assert!(report.clean_as_of.is_some() && !report.is_complete());
    let kinds = report.bad_rows.iter().map(|bad| (&*bad.row_id, bad.kind));
    let kinds: Vec<_> = kinds.collect();
    assert_eq!(
        kinds,
        [
            ("11", BadRowKind::FernetRefused),
            ("3", BadRowKind::Malformed),
            ("5", BadRowKind::UnknownKey),
            ("8", BadRowKind::TamperedOrMoved),
        ]
    );
    let json = serde_json::to_string(&report).unwrap();
    assert!(!format!("{report:?} {report} {json}").contains("MARKED"));

    let refused = fixture.rotation("payload").seal().await.unwrap_err();
    assert!(matches!(
        refused,
        RotationError::BadRowsLeft { rows: 4, .. }
    ));

    // Two are mended, one by hand and one by its key; one is removed.
    fixture
        .execute(
            "UPDATE app.credential SET payload = NULL WHERE id = 3;
             DELETE FROM app.credential WHERE id = 8",
        )
        .await;
    let report = fixture.rotation("payload").reading_fernet().run().await;
    let report = report.unwrap();
    assert_eq!((report.rotated, report.quarantined), (1, 1));
    assert_eq!(report.bad_rows[0].row_id, "5");
}

#[tokio::test]
async fn a_dry_run_writes_nothing_at_all() {
    let fixture = Fixture::with_rows(50).await;
    let dump = "SELECT sum(hashtext(c::text)::bigint + c.xmin::text::bigint)::bigint FROM app.credential c";
    let before = fixture.count(dump).await;
    let told = Arc::new(AtomicU64::new(0));
    let counter = Arc::clone(&told);
    let report = fixture
        .rotation("payload")
        .batch_rows(20)
        .dry_run()
        .progress(move |so_far| counter.store(so_far.scanned, Ordering::Relaxed))
        .run()
        .await
        .unwrap();
    assert!(report.is_dry_run && !report.is_complete());
    assert_eq!((report.rotated, report.scanned), (50, 50));
    assert_eq!(told.load(Ordering::Relaxed), 50);
    assert_eq!(fixture.count(dump).await, before);
    let written = "SELECT (SELECT count(*) FROM forktex_vault.rotation)
                        + (SELECT count(*) FROM forktex_vault.quarantine)";
    assert_eq!(fixture.count(written).await, 0);
}

/// Fernet names no key and binds to no place, so only the new key can tell what is current.
#[tokio::test]
async fn fernet_rotates_to_fernet_and_then_to_v2() {
    let fixture = Fixture::with_rows(40).await;
    let old = Vault::from_key(&fixture.old).scheme(Scheme::Fernet);
    for id in 1..=40 {
        sqlx::query("UPDATE app.credential SET label = $2 WHERE id = $1")
            .bind(id)
            .bind(label(&old, id, &value(id)))
            .execute(fixture.db.pool())
            .await
            .unwrap();
    }
    let middle = Key::generate().unwrap();
    let rotation = || rotate_blobs(&fixture.db, TABLE, "label").org_column("org_id");
    let report = rotation()
        .from(&fixture.old)
        .to(&middle)
        .scheme(Scheme::Fernet)
        .seal()
        .await
        .unwrap();
    assert_eq!((report.rotation.rotated, report.constraint), (40, None));
    let texts: Vec<String> = sqlx::query_scalar("SELECT label FROM app.credential")
        .fetch_all(fixture.db.pool())
        .await
        .unwrap();
    let vault = Vault::from_key(&middle).reading_fernet();
    for text in texts {
        let token: Token = text.parse().unwrap();
        assert_eq!(token.scheme(), Scheme::Fernet);
        assert!(vault.decrypt::<String>(&token).is_ok());
    }

    // To v2 under the same key, bound to its place from now on.
    let report = rotation().to(&middle).reading_fernet().run().await.unwrap();
    assert_eq!((report.rotated, report.is_complete()), (40, true));
    let cell: Encrypted<String, Text> =
        sqlx::query_scalar("SELECT label FROM app.credential WHERE id = 7")
            .fetch_one(fixture.db.pool())
            .await
            .unwrap();
    let bound = Vault::from_key(&middle).bound(place("label", 7));
    assert_eq!(cell.open(&bound), Ok(value(7)));
}

#[tokio::test]
async fn values_bound_to_no_place_are_bound_to_their_rows() {
    let fixture = Fixture::with_rows(10).await;
    let unbound = Vault::from_key(&fixture.old).encrypt("free").unwrap();
    sqlx::query("UPDATE app.credential SET payload = $1 WHERE id <= 5")
        .bind(unbound.to_bytes())
        .execute(fixture.db.pool())
        .await
        .unwrap();
    let refused = fixture.rotation("payload").dry_run().run().await.unwrap();
    assert_eq!(refused.quarantined, 5);
    let report = fixture.rotation("payload").from_unbound().run().await;
    assert!(report.unwrap().is_complete());
    for (id, opened) in fixture.payloads().await {
        let expected = if id <= 5 {
            "free".to_owned()
        } else {
            value(id)
        };
        assert_eq!(opened, Ok(expected));
    }
}

#[tokio::test]
async fn what_cannot_be_rotated_is_refused_before_anything_is_written() {
    let fixture = Fixture::with_rows(1).await;
    let (db, old, new) = (&fixture.db, &fixture.old, &fixture.new);
    fixture
        .execute("CREATE TABLE app.plain (id int, number int, payload bytea)")
        .await;
    let run = async |rotation: forktex_vault::Rotation| rotation.from(old).run().await.unwrap_err();

    let no_key = run(rotate_blobs(db, TABLE, "payload")).await;
    assert!(matches!(no_key, RotationError::NoTargetKey { .. }));
    let same_id = new.clone().with_id(old.id());
    let same_id = run(rotate_blobs(db, TABLE, "payload").to(&same_id)).await;
    assert_eq!(same_id, RotationError::SameKeyId { id: old.id() });

    for (table, column) in [
        ("credential", "payload"),
        ("app.plain", "number"),
        ("app.plain", "payload"),
    ] {
        let refused = run(rotate_blobs(db, table, column).to(new)).await;
        assert!(
            matches!(&refused, RotationError::Database(DbError::Invalid { .. })),
            "{table}.{column}: {refused:?}"
        );
    }
    for (table, column) in [("app.none", "payload"), (TABLE, "none")] {
        let refused = run(rotate_blobs(db, table, column).to(new)).await;
        assert!(
            matches!(&refused, RotationError::Database(DbError::Missing { .. })),
            "{table}.{column}: {refused:?}"
        );
    }
    let unmigrated = run(rotate_blobs(db, TABLE, "payload")
        .to(new)
        .schema("elsewhere"))
    .await;
    assert!(matches!(
        unmigrated,
        RotationError::Database(DbError::Missing { .. })
    ));
}

/// Rows that the role cannot see would stay under the old key, and the proof would be false.
#[tokio::test]
async fn a_role_that_does_not_see_every_row_is_refused() {
    let fixture = Fixture::with_rows(3).await;
    fixture
        .execute("ALTER TABLE app.credential ENABLE ROW LEVEL SECURITY")
        .await;
    let db = Db::connect(fixture.database.url(), DbOptions::new())
        .await
        .unwrap();
    let blind = rotate_blobs(&db, TABLE, "payload").to(&fixture.new);
    let refused = blind.run().await.unwrap_err();
    assert!(
        refused.to_string().contains("row-level security"),
        "{refused}"
    );
    // The owner is not bound by it.
    assert!(
        fixture
            .rotation("payload")
            .run()
            .await
            .unwrap()
            .is_complete()
    );
}

/// For its policy alone.
#[derive(Model)]
#[model(table = "app.credential", org_scoped, row_security)]
struct Credential {
    id: Uuid,
    org_id: Uuid,
}

#[tokio::test]
async fn the_policy_of_a_model_hides_no_row_from_a_rotation_and_any_other_may() {
    let fixture = Fixture::with_rows(6).await;
    let db = &fixture.db;
    fixture
        .execute("DELETE FROM app.credential WHERE org_id IS NULL")
        .await;
    db.pool()
        .execute(AssertSqlSafe(row_security::<Credential>()))
        .await
        .unwrap();
    let is_refused = async || match fixture.rotation("payload").run().await {
        Ok(report) => {
            assert!(report.is_complete() && report.scanned > 0, "{report}");
            false
        }
        Err(refused) => {
            assert!(
                refused.to_string().contains("row-level security"),
                "{refused}"
            );
            true
        }
    };
    // The owner is bound by the policy, and a row without an organisation would be hidden from it.
    assert!(is_refused().await);
    fixture
        .execute("ALTER TABLE app.credential ALTER org_id SET NOT NULL")
        .await;
    assert!(!is_refused().await);
    let mut tx = db.unscoped("the test counts").begin().await.unwrap();
    let rotated: i64 = sqlx::query_scalar(
        "SELECT count(*) FROM app.credential WHERE substring(payload FROM 2 FOR 8) = decode($1, 'hex')",
    )
    .bind(fixture.new.id().to_string())
    .fetch_one(tx.connection())
    .await
    .unwrap();
    assert_eq!(rotated, 3);
    drop(tx);

    fixture
        .execute("CREATE POLICY narrower ON app.credential AS RESTRICTIVE USING (id > 2)")
        .await;
    assert!(is_refused().await);
}

#[tokio::test]
async fn the_service_s_role_rotates_in_a_schema_of_another_name() {
    let fixture = Fixture::with_rows(30).await;
    forktex_vault::migrate_in(&fixture.db, "shop-vault")
        .await
        .unwrap();
    fixture
        .execute(
            "GRANT USAGE ON SCHEMA \"shop-vault\" TO PUBLIC;
             GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA \"shop-vault\" TO PUBLIC",
        )
        .await;
    let db = Db::connect(fixture.database.url(), DbOptions::new())
        .await
        .unwrap();
    let rotation = || {
        rotate_blobs(&db, TABLE, "payload")
            .from(&fixture.old)
            .to(&fixture.new)
            .org_column("org_id")
            .schema("shop-vault")
    };
    assert!(rotation().run().await.unwrap().is_complete());
    fixture.assert_rotated(30).await;
    let kept = fixture
        .count("SELECT count(*) FROM \"shop-vault\".rotation WHERE finished_at IS NOT NULL")
        .await;
    assert_eq!(kept, 1);

    let refused = rotation().seal().await.unwrap_err();
    assert!(matches!(
        refused,
        RotationError::Database(DbError::Denied { .. })
    ));
}
