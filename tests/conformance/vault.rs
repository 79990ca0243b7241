// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! c58, from a model's encrypted field to the rotation of its keys: as a service uses both crates.

use std::error::Error as _;
use std::fmt::Write as _;

use forktex::db::{CipherErrorKind, Db, DbError, DbOptions, Model, create_table, sqlx};
use forktex::vault::{Key, RotationError, Vault, rotate_blobs};
use forktex_testkit::TestDatabase;
use sqlx::{AssertSqlSafe, Executor as _};
use tokio::sync::Notify;
use uuid::Uuid;

const TABLE: &str = "app.credential";

/// Enough for a batch to be written while others are still to come.
const ROWS: usize = 240;

#[derive(Model, Debug, PartialEq)]
#[model(table = "app.credential", org_scoped, row_security)]
struct Credential {
    id: Uuid,
    org_id: Uuid,
    name: String,
    #[model(encrypted)]
    token: String,
}

async fn connect(database: &TestDatabase, vault: Vault) -> Db {
    let options = DbOptions::new().cipher(vault);
    Db::connect(database.owner_url(), options).await.unwrap()
}

/// Credentials of one organisation, sealed under a key.
async fn filled(key: &Key) -> (TestDatabase, Db, Uuid, Vec<Credential>) {
    let database = TestDatabase::create().await.unwrap();
    let db = connect(&database, Vault::from_key(key)).await;
    forktex::vault::migrate(&db).await.unwrap();
    let tables = format!("CREATE SCHEMA app; {}", create_table::<Credential>());
    db.pool().execute(AssertSqlSafe(tables)).await.unwrap();
    let org = Uuid::now_v7();
    let new = (0..ROWS).map(|n| NewCredential {
        name: format!("credential {n}"),
        token: secret(n),
    });
    let mut tx = db.begin().await.unwrap();
    let mut scope = tx.for_org(org).await.unwrap();
    let made = scope.repository::<Credential>().create_many(new).await;
    tx.commit().await.unwrap();
    (database, db, org, made.unwrap())
}

fn secret(n: usize) -> String {
    format!("marked-secret-{n}")
}

async fn read(db: &Db, org: Uuid, id: Uuid) -> Result<Credential, DbError> {
    let mut tx = db.begin().await?;
    tx.for_org(org)
        .await?
        .repository::<Credential>()
        .get(id)
        .await
}

/// All that a log could show of an error.
fn shown(error: &DbError) -> String {
    let mut shown = format!("{error} {error:?}");
    let mut source = error.source();
    while let Some(cause) = source {
        write!(shown, " {cause} {cause:?}").unwrap();
        source = cause.source();
    }
    shown
}

#[tokio::test]
async fn c58_a_wrong_key_and_a_changed_token_are_one_kind_each_and_show_no_secret() {
    let (old, other) = (Key::generate().unwrap(), Key::generate().unwrap());
    let (database, db, org, made) = filled(&old).await;
    let stranger = connect(&database, Vault::from_key(&other)).await;
    let refused = read(&stranger, org, made[0].id).await.unwrap_err();

    // One bit of the last byte.
    let mut tx = db.begin().await.unwrap();
    tx.for_org(org).await.unwrap();
    sqlx::query("UPDATE app.credential SET token = set_byte(token, length(token) - 1, get_byte(token, length(token) - 1) # 1) WHERE id = $1")
        .bind(made[1].id)
        .execute(tx.connection())
        .await
        .unwrap();
    tx.commit().await.unwrap();
    let changed = read(&db, org, made[1].id).await.unwrap_err();

    for (error, expected) in [
        (&refused, CipherErrorKind::UnknownKey),
        (&changed, CipherErrorKind::TamperedOrMoved),
    ] {
        let DbError::Sealed { column, cause } = error else {
            panic!("{error:?}");
        };
        assert_eq!((column.as_str(), cause.kind()), ("token", expected));
        let shown = shown(error);
        assert!(!shown.contains("marked-secret"), "{shown}");
        for key in [&old, &other] {
            assert!(!shown.contains(key.expose().as_str()), "{shown}");
        }
    }
}

#[tokio::test]
async fn c58_a_rotation_stopped_half_way_resumes_while_models_are_read_and_written() {
    let (old, new) = (Key::generate().unwrap(), Key::generate().unwrap());
    let (database, db, org, made) = filled(&old).await;
    // What every process has during a rotation: it seals under the new key, and reads both.
    let service = connect(&database, Vault::from_key(&new).with_previous(&old)).await;
    let rotation = || {
        rotate_blobs(&db, TABLE, "token")
            .from(&old)
            .to(&new)
            .org_column("org_id")
            .batch_rows(20)
    };

    let is_half_way = std::sync::Arc::new(Notify::new());
    let tell = is_half_way.clone();
    let stopped = tokio::spawn(
        rotation()
            .progress(move |so_far| {
                if so_far.rotated >= 100 {
                    tell.notify_one();
                }
            })
            .run(),
    );
    is_half_way.notified().await;
    stopped.abort();
    assert!(stopped.await.unwrap_err().is_cancelled());

    for credential in &made {
        let read = read(&service, org, credential.id).await;
        assert_eq!(read.as_ref(), Ok(credential));
    }
    let mut tx = service.begin().await.unwrap();
    let mut scope = tx.for_org(org).await.unwrap();
    let assignment = Credential::token().set("marked-secret-changed".to_owned());
    let written = scope
        .repository::<Credential>()
        .set(made[ROWS - 1].id, [assignment])
        .await;
    tx.commit().await.unwrap();

    let report = loop {
        match rotation().seal().await {
            // The lock of the first run goes with its connection, a moment later.
            Err(RotationError::AlreadyRunning { .. }) => tokio::task::yield_now().await,
            sealed => break sealed.unwrap().rotation,
        }
    };
    assert_eq!((report.quarantined, report.rotated), (0, ROWS as u64 - 1));
    let after = connect(&database, Vault::from_key(&new)).await;
    for credential in &made[..ROWS - 1] {
        let read = read(&after, org, credential.id).await;
        assert_eq!(read.as_ref(), Ok(credential));
    }
    assert_eq!(read(&after, org, made[ROWS - 1].id).await, written);

    // A process that was overlooked.
    let mut tx = db.begin().await.unwrap();
    let mut scope = tx.for_org(org).await.unwrap();
    let late = NewCredential {
        name: "late".to_owned(),
        token: secret(0),
    };
    let refused = scope
        .repository::<Credential>()
        .create(late)
        .await
        .unwrap_err();
    assert!(matches!(refused, DbError::Invalid { .. }), "{refused:?}");
    assert!(!shown(&refused).contains("marked-secret"));
}
