// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! What a repository costs over the driver alone, and a tenant's transaction over a bare one.
//!
//! Each pair runs in one process, on one connection, in turns; a figure is the median of its rounds.
//! The driver's side binds the same values, reads the same columns into the same struct, and has its
//! statements prepared, as the repository has.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

#[path = "db/raw.rs"]
mod raw;

use std::time::Instant;

use forktex_db::{Db, DbError, DbOptions, Model, Query, Transaction, create_table, sqlx};
use forktex_testkit::figure::{self, Figure, Output, median};
use forktex_testkit::{Postgres, PostgresOptions};
use sqlx::{AssertSqlSafe, Executor};
use time::OffsetDateTime;
use uuid::Uuid;

/// What both sides read and write.
#[derive(Model, Clone, Debug, PartialEq)]
#[model(
    table = "bench.user",
    timestamps,
    soft_delete,
    versioned,
    new_derives(Clone)
)]
pub(crate) struct User {
    pub(crate) id: Uuid,
    pub(crate) email: String,
    pub(crate) name: Option<String>,
    pub(crate) age: i32,
    pub(crate) created_at: OffsetDateTime,
    pub(crate) updated_at: OffsetDateTime,
    pub(crate) archived_at: Option<OffsetDateTime>,
    pub(crate) version: i64,
}

/// What a tenant's transaction reads.
#[derive(Model, Clone, Debug)]
#[model(table = "bench.note", org_scoped, row_security)]
pub(crate) struct Note {
    id: Uuid,
    org_id: Uuid,
    text: String,
}

const USERS: u128 = 10_000;
const LIST_ROWS: u32 = 50;
const BAR: f64 = 1.05;

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let output = Output::from_arguments();
    let server = Postgres::start(PostgresOptions::new().durable())
        .await
        .unwrap();
    let db = Db::connect(&server.url("postgres"), DbOptions::new().max_connections(1))
        .await
        .unwrap();
    prepare(&db).await;
    eprintln!("bench db: four comparisons, in turns; about a minute");
    let figures = [
        compare(
            "db.get",
            2_000,
            15,
            async |n| get(&db, n, Side::Raw).await,
            async |n| get(&db, n, Side::Repository).await,
        )
        .await,
        compare(
            "db.list_50",
            500,
            15,
            async |n| list(&db, n, Side::Raw).await,
            async |n| list(&db, n, Side::Repository).await,
        )
        .await,
        compare(
            "db.create",
            1_000,
            15,
            async |n| create(&db, n, Side::Raw).await,
            async |n| create(&db, n, Side::Repository).await,
        )
        .await,
        compare(
            "db.tenant_transaction",
            1_000,
            15,
            async |n| bare(&db, n).await,
            async |n| tenant(&db, n).await,
        )
        .await,
    ];
    figure::print(&figures, output);
}

/// Runs both in turns, the order changing from round to round; a figure is microseconds a call.
async fn compare(
    bench: &'static str,
    calls: u32,
    rounds: usize,
    baseline: impl AsyncFn(u32) -> Result<(), DbError>,
    ours: impl AsyncFn(u32) -> Result<(), DbError>,
) -> Figure {
    baseline(calls / 4).await.unwrap();
    ours(calls / 4).await.unwrap();
    let (mut of_baseline, mut of_ours, mut ratios) = (Vec::new(), Vec::new(), Vec::new());
    for round in 0..rounds {
        let mut times = [0.0; 2];
        for turn in 0..2 {
            let which = (round + turn) % 2;
            let start = Instant::now();
            if which == 0 {
                baseline(calls).await.unwrap();
            } else {
                ours(calls).await.unwrap();
            }
            times[which] = start.elapsed().as_secs_f64() * 1e6 / f64::from(calls);
        }
        of_baseline.push(times[0]);
        of_ours.push(times[1]);
        ratios.push(times[1] / times[0]);
    }
    Figure {
        bench,
        value: median(of_ours),
        unit: "us/call",
        baseline: median(of_baseline),
        ratio: median(ratios),
        bar: BAR,
        at_most: true,
    }
}

#[derive(Clone, Copy)]
enum Side {
    Raw,
    Repository,
}

async fn prepare(db: &Db) {
    let tables = [
        "CREATE SCHEMA bench;".to_owned(),
        create_table::<User>(),
        create_table::<Note>(),
        "CREATE INDEX user_by_age ON bench.user (age, id);".to_owned(),
    ];
    db.pool()
        .execute(AssertSqlSafe(tables.concat()))
        .await
        .unwrap();
    let users = (0..USERS).map(|n| NewUser {
        email: format!("{n}@example.com"),
        name: (n % 2 == 0).then(|| format!("user {n}")),
        age: i32::try_from(n % 100).unwrap(),
    });
    db.transaction(async |tx| {
        let mut repository = tx.repository::<User>();
        for (n, new) in users.clone().enumerate() {
            repository
                .create_with_id(Uuid::from_u128(n as u128), new)
                .await?;
        }
        Ok::<_, DbError>(())
    })
    .await
    .unwrap();
    db.pool()
        .execute("VACUUM ANALYZE bench.user")
        .await
        .unwrap();
}

async fn get(db: &Db, calls: u32, side: Side) -> Result<(), DbError> {
    db.transaction(async |tx: &mut Transaction| {
        for n in 0..calls {
            let id = Uuid::from_u128(u128::from(n) * 7_919 % USERS);
            let user = match side {
                Side::Raw => raw::get(tx, id).await?,
                Side::Repository => tx.repository::<User>().get(id).await?,
            };
            assert_eq!(user.id, id);
        }
        Ok(())
    })
    .await
}

async fn list(db: &Db, calls: u32, side: Side) -> Result<(), DbError> {
    db.transaction(async |tx: &mut Transaction| {
        for n in 0..calls {
            let age = i32::try_from(n % 90).unwrap_or_default();
            let users = match side {
                Side::Raw => raw::list(tx, age).await?,
                Side::Repository => {
                    let query = Query::from(User::age().gte(age)).sort(User::age().asc());
                    tx.repository::<User>().list(query.limit(LIST_ROWS)).await?
                }
            };
            assert_eq!(users.len(), LIST_ROWS as usize);
        }
        Ok(())
    })
    .await
}

/// Rolled back, so that every round finds the same table.
async fn create(db: &Db, calls: u32, side: Side) -> Result<(), DbError> {
    let mut tx = db.begin().await?;
    for n in 0..calls {
        let new = NewUser {
            email: format!("new-{n}@example.com"),
            name: None,
            age: 30,
        };
        let user = match side {
            Side::Raw => raw::create(&mut tx, new).await?,
            Side::Repository => tx.repository::<User>().create(new).await?,
        };
        assert_eq!(user.version, 1);
    }
    tx.rollback().await
}

const ORG: Uuid = Uuid::from_u128(7);

/// A transaction with one statement that names the organisation by hand.
async fn bare(db: &Db, calls: u32) -> Result<(), DbError> {
    for _ in 0..calls {
        db.transaction(async |tx| raw::notes(tx, ORG).await).await?;
    }
    Ok(())
}

/// The same for a tenant: the server is told with the begin, the repository adds the condition.
async fn tenant(db: &Db, calls: u32) -> Result<(), DbError> {
    for _ in 0..calls {
        db.for_org(ORG)
            .transaction(async |tx| -> Result<(), DbError> {
                let mut tx = tx.for_org(ORG).await?;
                let notes = tx.repository::<Note>().list(Query::new().limit(10)).await?;
                assert!(
                    notes
                        .iter()
                        .all(|note| note.org_id == ORG && note.text.is_empty())
                );
                assert!(notes.iter().all(|note| !note.id.is_nil()));
                Ok(())
            })
            .await?;
    }
    Ok(())
}
