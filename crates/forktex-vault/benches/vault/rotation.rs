// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! A rotation, checkpoints and proof included, against updates of the same bytes in batches of the same
//! size that do nothing else; and a rotation of many rows with the memory that it took.

use std::error::Error;
use std::time::Instant;

use forktex_db::{Db, DbOptions, sqlx};
use forktex_testkit::{Postgres, TestDatabase};
use forktex_vault::{Encrypted, Key, Vault, rotate_blobs};
use sqlx::Executor as _;

use crate::ROUNDS;
use forktex_testkit::figure::{Figure, median};

const BATCH_ROWS: i64 = 1_000;

/// What a row holds: a secret of this many characters.
const SECRET: &str = "sk_live_0123456789abcdefghijklmnopqrstuvwxyz0123456789abcdefghij";

pub(crate) async fn measure(server: &Postgres, rows: i64) -> Result<Figure, Box<dyn Error>> {
    let (mut ours, mut bare) = (Vec::new(), Vec::new());
    for round in 1..=ROUNDS {
        eprintln!("vault.rotate: round {round} of {ROUNDS}: {rows} rows by bare updates");
        let (old, new) = (Key::generate()?, Key::generate()?);
        let (_database, db) = filled(server, rows, &old).await?;
        bare.push(bare_updates(&db, rows, &new).await?);
        db.close().await;
        eprintln!("vault.rotate: round {round} of {ROUNDS}: {rows} rows rotated");
        let (_database, db) = filled(server, rows, &old).await?;
        ours.push(rotated(&db, rows, &old, &new).await?);
        db.close().await;
    }
    let (value, baseline) = (median(ours), median(bare));
    Ok(Figure {
        bench: "vault.rotate",
        value,
        unit: "rows/s",
        baseline,
        ratio: value / baseline,
        bar: 0.5,
        at_most: false,
    })
}

/// Rotates many rows and prints how much memory the process has needed at most, before and after.
pub(crate) async fn large(server: &Postgres, rows: i64) -> Result<(), Box<dyn Error>> {
    eprintln!("vault.rotate: {rows} rows with the memory they take");
    let (old, new) = (Key::generate()?, Key::generate()?);
    let (_database, db) = filled(server, rows, &old).await?;
    let before = peak_kib();
    let per_second = rotated(&db, rows, &old, &new).await?;
    let after = peak_kib();
    db.close().await;
    eprintln!(
        "vault.rotate: {rows} rows at {per_second:.0} rows/s; peak memory (VmHWM) {before} KiB before, {after} KiB after"
    );
    Ok(())
}

/// A table of values under a key.
async fn filled(
    server: &Postgres,
    rows: i64,
    key: &Key,
) -> Result<(TestDatabase, Db), Box<dyn Error>> {
    let database = server.create_database().await?;
    let db = Db::connect(database.owner_url(), DbOptions::new()).await?;
    forktex_vault::migrate(&db).await?;
    db.pool()
        .execute(
            "CREATE SCHEMA app; CREATE TABLE app.credential (id bigint PRIMARY KEY, payload bytea)",
        )
        .await?;
    let vault = Vault::from_key(key);
    for first in (1..=rows).step_by(5_000) {
        let ids: Vec<i64> = (first..=rows.min(first + 4_999)).collect();
        let cells = sealed(&vault, &ids)?;
        sqlx::query("INSERT INTO app.credential SELECT * FROM unnest($1, $2)")
            .bind(ids)
            .bind(cells)
            .execute(db.pool())
            .await?;
    }
    let mut connection = db.pool().acquire().await?;
    connection.execute("VACUUM ANALYZE app.credential").await?;
    drop(connection);
    Ok((database, db))
}

fn sealed(vault: &Vault, ids: &[i64]) -> Result<Vec<Encrypted<String>>, Box<dyn Error>> {
    let seal = |id| Encrypted::seal(&vault.context("app.credential", "payload", id), SECRET);
    Ok(ids.iter().map(seal).collect::<Result<_, _>>()?)
}

async fn rotated(db: &Db, rows: i64, old: &Key, new: &Key) -> Result<f64, Box<dyn Error>> {
    let started = Instant::now();
    let report = rotate_blobs(db, "app.credential", "payload")
        .from(old)
        .to(new)
        .batch_rows(u32::try_from(BATCH_ROWS)?)
        .run()
        .await?;
    let seconds = started.elapsed().as_secs_f64();
    if !report.is_complete() || i64::try_from(report.rotated)? != rows {
        return Err(format!("not all rows were rotated: {report}").into());
    }
    per_second(rows, seconds)
}

/// Writes values that were sealed beforehand. Only the updates count.
async fn bare_updates(db: &Db, rows: i64, new: &Key) -> Result<f64, Box<dyn Error>> {
    let vault = Vault::from_key(new);
    let mut seconds = 0.0;
    for first in (1..=rows).step_by(usize::try_from(BATCH_ROWS)?) {
        let ids: Vec<i64> = (first..=rows.min(first + BATCH_ROWS - 1)).collect();
        let cells = sealed(&vault, &ids)?;
        let started = Instant::now();
        sqlx::query(
            "UPDATE app.credential AS target SET payload = change.payload
             FROM unnest($1::bigint[], $2::bytea[]) AS change (id, payload)
             WHERE target.id = change.id",
        )
        .bind(ids)
        .bind(cells)
        .execute(db.pool())
        .await?;
        seconds += started.elapsed().as_secs_f64();
    }
    per_second(rows, seconds)
}

fn per_second(rows: i64, seconds: f64) -> Result<f64, Box<dyn Error>> {
    Ok(f64::from(u32::try_from(rows)?) / seconds)
}

/// The peak of the process's resident memory, or 0 where the system does not tell.
fn peak_kib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let number = peak.and_then(|peak| peak.split_whitespace().next()?.parse().ok());
    number.unwrap_or_default()
}
