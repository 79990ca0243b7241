// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! A step whose writes are committed with its checkpoint.

use forktex_db::{Db, Transaction};

use super::Ctx;
use super::call::Ask;
use crate::error::{StepError, StepResult};
use crate::state::{State, StateUpdate};

impl Ctx {
    /// Runs a block in a transaction on the flow's database, and commits what it wrote together with
    /// the step's checkpoint: both are there, or neither, so that the writes happen exactly once. The
    /// step ends with it; it must be the last thing that a body does, and what stands behind it is not
    /// run.
    ///
    /// The block cannot commit by itself, and must not make durable calls. No lock on the run is held
    /// while it runs. Where the outcome of the commit is unknown, the checkpoint is looked for before
    /// the body runs again. Two round trips more than the block's own statements.
    ///
    /// Half of the connections of the flow's pool are for such blocks; who comes when all of them are in
    /// use waits for a turn. A pool needs three connections at least: one listens, and a neighbour's
    /// checkpoint must not wait for the block that waits for it.
    ///
    /// In a unit test it needs [`with_database`](Self::with_database).
    ///
    /// # Errors
    /// The block's own, after which nothing was written; fatal where there is no database.
    ///
    /// # Cancellation
    /// Dropping the future rolls back.
    ///
    /// # Examples
    /// ```
    /// use forktex_db::sqlx;
    /// use forktex_flow::prelude::*;
    /// use serde::{Deserialize, Serialize};
    ///
    /// #[derive(State, Clone, Serialize, Deserialize)]
    /// struct Payment {
    ///     invoice: i64,
    ///     is_booked: bool,
    /// }
    ///
    /// #[step]
    /// async fn book(ctx: &Ctx, state: &Payment) -> StepResult<PaymentUpdate> {
    ///     ctx.transaction(async |tx| {
    ///         sqlx::query("UPDATE shop.invoice SET is_paid = true WHERE id = $1")
    ///             .bind(state.invoice)
    ///             .execute(tx.connection())
    ///             .await?;
    ///         Ok(Payment::update().is_booked(true))
    ///     })
    ///     .await
    /// }
    /// ```
    pub async fn transaction<U, F>(&self, block: F) -> StepResult<U>
    where
        U: StateUpdate,
        F: AsyncFnOnce(&mut Transaction) -> StepResult<U>,
    {
        let Some(calls) = &self.calls else {
            return self.test_transaction(block).await;
        };
        let beginning = calls.port().begin().ok_or_else(|| {
            StepError::fatal("a transaction needs a flow on a database; this one is in memory")
        })?;
        let mut transaction = beginning.await?;
        let block = calls.without_calls(block(&mut transaction));
        let update = match block.await {
            Ok(update) => update,
            Err(error) => {
                // The block's error is the one that matters; dropping rolls back as well.
                transaction.rollback().await.ok();
                return Err(error);
            }
        };
        let delta = U::State::encode(update).map_err(StepError::fatal)?;
        let ask = Ask::Commit {
            transaction: Box::new(transaction),
            delta,
        };
        calls.ask("", ask).await?;
        Ok(U::default())
    }

    /// The same context with a database on which [`transaction`](Self::transaction) commits, for unit
    /// tests.
    pub fn with_database(mut self, db: Db) -> Self {
        self.test_database = Some(db);
        self
    }

    async fn test_transaction<U, F>(&self, block: F) -> StepResult<U>
    where
        F: AsyncFnOnce(&mut Transaction) -> StepResult<U>,
    {
        let db = self.test_database.as_ref().ok_or_else(|| {
            StepError::fatal("this test context has no database: give it one with `with_database`")
        })?;
        let mut transaction = db.begin().await?;
        let update = block(&mut transaction).await?;
        transaction.commit().await?;
        Ok(update)
    }
}
