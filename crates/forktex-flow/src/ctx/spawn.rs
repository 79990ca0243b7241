// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! Spawning one run: as a durable call, or in the step's transaction.

use std::future::IntoFuture;
use std::marker::PhantomData;

use forktex_db::Transaction;
use futures_util::future::BoxFuture;
use serde_json::{Map, Value};

use super::Ctx;
use super::call::{Spawn, diverged};
use super::children::{Child, replaced, spawned};
use super::durable::key_of;
use crate::error::{StepError, StepResult};
use crate::identifier::Version;
use crate::instance::journal::Answer;

/// Starts a child; made by [`Ctx::spawn`]. Await it.
#[must_use = "nothing is spawned until this is awaited"]
pub struct SpawnCall<'a, S = Value> {
    ctx: &'a Ctx,
    pub(super) spawn: Spawn,
    fault: Option<StepError>,
    key: Option<String>,
    state: PhantomData<fn() -> S>,
}

impl<'a, S> SpawnCall<'a, S> {
    pub(super) fn new(
        ctx: &'a Ctx,
        workflow: String,
        version: Option<Version>,
        input: StepResult<Value>,
    ) -> Self {
        let (inputs, fault) = match input {
            Ok(input) => (vec![input], None),
            Err(error) => (Vec::new(), Some(error)),
        };
        Self {
            ctx,
            spawn: Spawn {
                workflow,
                version,
                inputs,
                metadata: Map::new(),
                concurrency: 1,
            },
            fault,
            key: None,
            state: PhantomData,
        }
    }

    /// Names the child within the node. By default its workflow, its state, and its place among equal
    /// ones do.
    pub fn key(mut self, key: impl Into<String>) -> Self {
        self.key = Some(key.into());
        self
    }

    /// Notes for people and queries on the child.
    pub fn metadata(mut self, metadata: Map<String, Value>) -> Self {
        self.spawn.metadata = metadata;
        self
    }

    /// Starts it as a part of the transaction of [`Ctx::transaction`], inside its block: it exists if and
    /// only if what the block wrote does. It may be waited for by a later step, which finds it in the
    /// state. One statement.
    ///
    /// # Errors
    /// Fatal outside of such a block, and where the workflow is not registered or its state does not fit;
    /// the database's.
    ///
    /// # Cancellation
    /// A future that is dropped may have left the run in the transaction.
    ///
    /// # Examples
    /// ```
    /// use forktex_db::sqlx;
    /// use forktex_flow::ctx::Child;
    /// use forktex_flow::prelude::*;
    /// use serde::{Deserialize, Serialize};
    /// # #[derive(State, Clone, Serialize, Deserialize)]
    /// # struct Parcel { order: i64 }
    /// # #[step]
    /// # async fn pack(_ctx: &Ctx, _state: &Parcel) -> StepResult<ParcelUpdate> { Ok(Parcel::update()) }
    /// # #[pipeline(name = "shop.parcel.send", version = 1, state = Parcel, steps = [pack])]
    /// # struct SendParcel;
    ///
    /// #[derive(State, Clone, Serialize, Deserialize)]
    /// struct Order {
    ///     id: i64,
    ///     parcel: Option<Child<Parcel>>,
    /// }
    ///
    /// #[step]
    /// async fn close(ctx: &Ctx, state: &Order) -> StepResult<OrderUpdate> {
    ///     ctx.transaction(async |tx| {
    ///         sqlx::query("UPDATE shop.order SET is_closed = true WHERE id = $1")
    ///             .bind(state.id)
    ///             .execute(tx.connection())
    ///             .await?;
    ///         let parcel = Parcel { order: state.id };
    ///         let parcel = ctx.spawn(SendParcel, parcel).in_transaction(tx).await?;
    ///         Ok(Order::update().parcel(parcel))
    ///     })
    ///     .await
    /// }
    /// ```
    pub async fn in_transaction(self, transaction: &mut Transaction) -> StepResult<Child<S>> {
        if let Some(fault) = self.fault {
            return Err(fault);
        }
        let calls = self.ctx.live_calls()?;
        if !calls.are_in_transaction() {
            return Err(StepError::fatal(
                "a run is spawned in a transaction only inside `ctx.transaction`: \
                 without one, leave `in_transaction` out",
            ));
        }
        // Its key is of no use: the step ends with the transaction, and is recorded in it.
        let started = calls.port().spawn_in(transaction, self.spawn).await;
        match *started.map_err(StepError::from_failure)? {
            [child] => Ok(child.into()),
            _ => Err(StepError::fatal("one run was to be spawned")),
        }
    }

    async fn spawn(self) -> StepResult<Child<S>> {
        if let Some(fault) = self.fault {
            return Err(fault);
        }
        let calls = self.ctx.live_calls()?;
        let spawn = self.spawn;
        let stem = key_of(
            self.key.as_deref(),
            calls,
            "spawn",
            &spawn.workflow,
            &spawn.inputs,
        )?;
        // Past the children of which a wait has noted that another is to take their place.
        let mut key = stem.clone();
        let mut again = 0;
        while let Some(Answer::Children(children)) = calls.answer(&key)
            && children
                .iter()
                .any(|child| calls.answer(&replaced(*child)).is_some())
        {
            again += 1;
            key = format!("{stem} again {again}");
        }
        let children = spawned(calls, &key, spawn).await?;
        match *children {
            [child] => Ok(child.into()),
            _ => Err(diverged(&key, "it spawned another number of runs")),
        }
    }
}

impl<'a, S: Send + 'static> IntoFuture for SpawnCall<'a, S> {
    type Output = StepResult<Child<S>>;
    type IntoFuture = BoxFuture<'a, Self::Output>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.spawn())
    }
}
