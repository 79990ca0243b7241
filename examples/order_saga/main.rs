// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! A saga: an order that goes through, one that is undone, one that is retried, one that never was.
//!
//! `order_saga` plays them on a throwaway Postgres and counts the stock and the money after each. To copy:
//! `order`.

mod order;

use std::error::Error;
use std::io::{self, Write as _};
use std::process::ExitCode;
use std::sync::Arc;

use forktex::db::{Db, DbOptions, sqlx};
use forktex::flow::prelude::*;
use forktex::flow::{EventKind, ReadError};
use forktex_testkit::TestDatabase;
use tracing_subscriber::EnvFilter;

use order::{Bank, Order, PlaceError};

const LAMP_CENTS: i64 = 2_500;
const PIANO_CENTS: i64 = 900_000;

/// The service's own tables.
const TABLES: [&str; 4] = [
    "CREATE SCHEMA shop",
    "CREATE TABLE shop.stock (item text PRIMARY KEY, amount integer NOT NULL CHECK (amount >= 0))",
    "CREATE TABLE shop.orders (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, \
     item text NOT NULL, cents bigint NOT NULL)",
    "INSERT INTO shop.stock VALUES ('lamp', 10), ('piano', 1)",
];

#[tokio::main]
async fn main() -> ExitCode {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("error"));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(io::stderr)
        .init();
    match run().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(io::stderr(), "order_saga: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn run() -> Result<(), Box<dyn Error>> {
    let database = TestDatabase::create().await?;
    let db = Db::connect(database.owner_url(), DbOptions::new()).await?;
    for sql in TABLES {
        sqlx::query(sql).execute(db.pool()).await?;
    }
    // On the service's own pool, so that its transactions and the flow's are on one database.
    let bank = Arc::new(Bank::default());
    let flow = Flow::builder(db.clone())
        .shared_resource(Arc::clone(&bank))
        .build()
        .await?;
    flow.init().await?;
    flow.start_driver().await?;

    goes_through(&db, &flow, &bank).await?;
    is_undone(&db, &flow, &bank).await?;
    is_retried(&db, &flow, &bank).await?;
    never_was(&db, &flow).await?;
    flow.close().await?;
    db.close().await;
    writeln!(io::stdout(), "order_saga: ok")?;
    Ok(())
}

async fn goes_through(db: &Db, flow: &Flow, bank: &Bank) -> Result<(), Box<dyn Error>> {
    let done = placed(db, flow, "lamp", LAMP_CENTS).await?.wait().await?;
    show("goes through", &done)?;
    check(
        done.status == InstanceStatus::Completed
            && in_stock(db, "lamp").await? == 9
            && bank.balance_cents() == LAMP_CENTS,
        "one lamp is sold and paid for",
    )
}

/// No carrier takes it: the money goes back first, and then the piano.
async fn is_undone(db: &Db, flow: &Flow, bank: &Bank) -> Result<(), Box<dyn Error>> {
    let done = placed(db, flow, "piano", PIANO_CENTS).await?.wait().await?;
    show("is undone", &done)?;
    let undone: Vec<String> = flow
        .handle(done.instance_id)
        .history()
        .await?
        .into_iter()
        .filter_map(|event| match event.kind {
            EventKind::Compensated { node, .. } => Some(node.to_string()),
            _ => None,
        })
        .collect();
    check(
        undone == ["charge", "reserve"]
            && done.status == InstanceStatus::Failed
            && in_stock(db, "piano").await? == 1
            && bank.balance_cents() == LAMP_CENTS,
        "the piano and the money are back, last done first undone",
    )
}

/// The bank is closed, so the run fails and what it did is undone. Once the bank is open, a new run does it
/// again.
async fn is_retried(db: &Db, flow: &Flow, bank: &Bank) -> Result<(), Box<dyn Error>> {
    bank.set_closed(true);
    let run = placed(db, flow, "lamp", LAMP_CENTS).await?;
    let failed = run.wait().await?;
    show("fails while the bank is closed", &failed)?;
    let failed_well = failed.status == InstanceStatus::Failed && in_stock(db, "lamp").await? == 9;
    check(failed_well, "the lamp is put back")?;
    bank.set_closed(false);
    let done = run.retry().await?.wait().await?;
    show("is retried", &done)?;
    check(
        done.status == InstanceStatus::Completed
            && done.retry_of == Some(failed.instance_id)
            && in_stock(db, "lamp").await? == 8
            && bank.balance_cents() == 2 * LAMP_CENTS,
        "the second lamp is sold and paid for once",
    )
}

/// What is rolled back leaves neither an order nor a run.
async fn never_was(db: &Db, flow: &Flow) -> Result<(), Box<dyn Error>> {
    let mut id = None;
    let placed = db
        .transaction(async |tx| -> Result<(), PlaceError> {
            id = Some(order::place(tx, flow, "lamp", LAMP_CENTS).await?.id());
            Err(PlaceError::ChangedMind)
        })
        .await;
    let id = id.ok_or("the run was to have an identifier")?;
    let gone = flow.get(id).await;
    writeln!(io::stdout(), "never was: {}", shown(&gone))?;
    let orders: i64 = sqlx::query_scalar("SELECT count(*) FROM shop.orders")
        .fetch_one(db.pool())
        .await?;
    check(
        matches!(placed, Err(PlaceError::ChangedMind))
            && matches!(gone, Err(ReadError::NotFound { .. }))
            && orders == 3,
        "an order that was rolled back has no run",
    )
}

fn shown(read: &Result<Instance, ReadError>) -> String {
    match read {
        Ok(instance) => format!("it is {}", instance.status),
        Err(error) => error.to_string(),
    }
}

async fn placed(db: &Db, flow: &Flow, item: &str, cents: i64) -> Result<Run<Order>, PlaceError> {
    db.transaction(async |tx| order::place(tx, flow, item, cents).await)
        .await
}

async fn in_stock(db: &Db, item: &str) -> Result<i32, Box<dyn Error>> {
    let amount = sqlx::query_scalar("SELECT amount FROM shop.stock WHERE item = $1")
        .bind(item)
        .fetch_one(db.pool())
        .await?;
    Ok(amount)
}

fn show(title: &str, done: &Instance<Order>) -> Result<(), Box<dyn Error>> {
    let mut out = io::stdout();
    writeln!(out, "order {} {title}: {}", done.state.id, done.status)?;
    for line in &done.state.log {
        writeln!(out, "  {line}")?;
    }
    if let Some(failure) = &done.failure {
        writeln!(out, "  {failure}")?;
    }
    Ok(())
}

/// An example that shows something else than it says must fail.
fn check(holds: bool, what: &str) -> Result<(), Box<dyn Error>> {
    if holds {
        return Ok(());
    }
    Err(format!("it does not hold that {what}").into())
}
