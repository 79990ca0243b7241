// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! An order as a saga: what was done is undone in reverse order where a later step fails for good.

use std::sync::{Mutex, PoisonError};

use forktex::db::{Transaction, sqlx};
use forktex::flow::StartError;
use forktex::flow::prelude::*;
use serde::{Deserialize, Serialize};

#[derive(State, Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Order {
    pub(crate) id: i64,
    pub(crate) item: String,
    pub(crate) cents: i64,
    pub(crate) payment: Option<String>,
    #[reduce(append)]
    pub(crate) log: Vec<String>,
}

/// A bank that lives in memory, and can be told to be closed. To copy: put a client in its place.
#[derive(Debug, Default)]
pub(crate) struct Bank(Mutex<Account>);

#[derive(Debug, Default)]
struct Account {
    balance_cents: i64,
    is_closed: bool,
    /// What was asked already: a key is charged or refunded once.
    keys: Vec<String>,
}

#[derive(Debug, thiserror::Error)]
#[error("the bank is closed")]
pub(crate) struct BankClosed;

impl Bank {
    fn transfer(&self, cents: i64, idempotency_key: &str) -> Result<(), BankClosed> {
        let mut account = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if account.is_closed {
            return Err(BankClosed);
        }
        if !account.keys.iter().any(|known| known == idempotency_key) {
            account.keys.push(idempotency_key.to_owned());
            account.balance_cents += cents;
        }
        Ok(())
    }

    pub(crate) fn set_closed(&self, is_closed: bool) {
        let mut account = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        account.is_closed = is_closed;
    }

    pub(crate) fn balance_cents(&self) -> i64 {
        let account = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        account.balance_cents
    }
}

/// Writes the service's own table. The write and the checkpoint are one commit: the stock is taken once,
/// whatever dies in between.
#[step(compensate = unreserve)]
async fn reserve(ctx: &Ctx, state: &Order) -> StepResult<OrderUpdate> {
    ctx.transaction(async |tx| {
        let taken = sqlx::query("UPDATE shop.stock SET amount = amount - 1 WHERE item = $1")
            .bind(&state.item)
            .execute(tx.connection())
            .await?;
        if taken.rows_affected() == 0 {
            return Err(StepError::fatal(format!("nobody sells a {}", state.item)));
        }
        Ok(Order::update().log([format!("reserved a {}", state.item)]))
    })
    .await
}

#[step]
async fn unreserve(ctx: &Ctx, state: &Order) -> StepResult<OrderUpdate> {
    ctx.transaction(async |tx| {
        sqlx::query("UPDATE shop.stock SET amount = amount + 1 WHERE item = $1")
            .bind(&state.item)
            .execute(tx.connection())
            .await?;
        Ok(Order::update().log([format!("put the {} back", state.item)]))
    })
    .await
}

/// The bank is another system: it gets the idempotency key, which is the same for all attempts.
#[step(max_attempts = 2, backoff = ["50ms"], compensate = refund)]
async fn charge(ctx: &Ctx, state: &Order, bank: Resource<Bank>) -> StepResult<OrderUpdate> {
    let key = ctx.idempotency_key();
    bank.transfer(state.cents, &key)?;
    Ok(Order::update()
        .payment(key)
        .log([format!("charged {} cents", state.cents)]))
}

/// The key of what undoes a step is another than that of the step.
#[step]
async fn refund(ctx: &Ctx, state: &Order, bank: Resource<Bank>) -> StepResult<OrderUpdate> {
    bank.transfer(-state.cents, &ctx.idempotency_key())?;
    Ok(Order::update()
        .payment(None)
        .log([format!("refunded {} cents", state.cents)]))
}

/// Nothing goes to an address that nobody has, however often it is tried.
#[step]
async fn ship(_ctx: &Ctx, state: &Order) -> StepResult<OrderUpdate> {
    if state.item == "piano" {
        return Err(StepError::fatal("no carrier takes a piano"));
    }
    Ok(Order::update().log([format!("shipped the {}", state.item)]))
}

#[pipeline(
    name = "shop.order", version = 1, state = Order,
    steps = [reserve, charge, ship],
)]
pub(crate) struct PlaceOrder;

/// Keeps an order and starts its run, in the caller's transaction: both are there, or neither.
pub(crate) async fn place(
    tx: &mut Transaction,
    flow: &Flow,
    item: &str,
    cents: i64,
) -> Result<Run<Order>, PlaceError> {
    let insert = "INSERT INTO shop.orders (item, cents) VALUES ($1, $2) RETURNING id";
    let id: i64 = sqlx::query_scalar(insert)
        .bind(item)
        .bind(cents)
        .fetch_one(tx.connection())
        .await
        .map_err(forktex::db::DbError::from)?;
    let order = Order {
        id,
        item: item.to_owned(),
        cents,
        payment: None,
        log: Vec::new(),
    };
    let start = flow.start(PlaceOrder, order);
    let start = start.idempotency_key(format!("order-{id}"));
    Ok(start.in_transaction(tx).await?)
}

/// Why an order was not placed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PlaceError {
    #[error(transparent)]
    Start(#[from] StartError),
    #[error(transparent)]
    Database(#[from] forktex::db::DbError),
    #[error("the customer changed their mind")]
    ChangedMind,
}
