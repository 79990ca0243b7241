// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! How a body reaches the executor of its run.

use std::sync::Arc;

use forktex_db::{DbError, Transaction};
use futures_util::future::BoxFuture;
use tokio::sync::{Notify, mpsc, oneshot};

use super::newborn::newborns;
use crate::ctx::RunContext;
use crate::ctx::call::{Ask, Port, Reply, Spawn};
use crate::error::failure::{StepFailure, StepFailureKind};
use crate::identifier::InstanceId;
use crate::telemetry;
use crate::worker::Shared;

/// A call on its way to the executor.
pub(super) struct CallRequest {
    pub(super) member: usize,
    pub(super) key: String,
    pub(super) ask: Ask,
    pub(super) reply: oneshot::Sender<Result<Reply, StepFailure>>,
}

/// The port of one body.
pub(super) struct BodyPort {
    pub(super) member: usize,
    pub(super) requests: mpsc::UnboundedSender<CallRequest>,
    pub(super) beats: Arc<Notify>,
    pub(super) context: Arc<RunContext>,
    pub(super) shared: Arc<Shared>,
}

impl Port for BodyPort {
    fn ask(&self, key: String, ask: Ask) -> BoxFuture<'_, Result<Reply, StepFailure>> {
        Box::pin(async move {
            let (reply, answer) = oneshot::channel();
            let request = CallRequest {
                member: self.member,
                key,
                ask,
                reply,
            };
            // Without an executor, or an answer from it, the body is about to be dropped.
            if self.requests.send(request).is_ok()
                && let Ok(reply) = answer.await
            {
                return reply;
            }
            std::future::pending().await
        })
    }

    fn beat(&self) {
        self.beats.notify_one();
    }

    fn begin(&self) -> Option<BoxFuture<'_, Result<Transaction, DbError>>> {
        let db = self.shared.store.database()?;
        Some(Box::pin(async move {
            let turns = Arc::clone(&self.shared.transaction_turns);
            // The semaphore is never closed.
            let turn = turns.acquire_owned().await.ok();
            let mut transaction = db.begin().await?;
            // Kept as long as the transaction has its connection, however it ends.
            transaction.after_commit(async move { drop(turn) });
            Ok(transaction)
        }))
    }

    fn spawn_in<'a>(
        &'a self,
        transaction: &'a mut Transaction,
        spawn: Spawn,
    ) -> BoxFuture<'a, Result<Vec<InstanceId>, StepFailure>> {
        Box::pin(async move {
            let children = newborns(&self.shared, &self.context, &spawn)?;
            for child in &children {
                let started = self.shared.store.start_in(transaction, child).await;
                started.map_err(|error| {
                    let message = format!("cannot spawn workflow `{}`: {error}", spawn.workflow);
                    StepFailure::new(StepFailureKind::Error, &message)
                })?;
            }
            let ids = children.iter().map(|child| child.instance_id).collect();
            let shared = Arc::clone(&self.shared);
            transaction.after_commit(async move {
                for child in &children {
                    telemetry::runs_started(&child.workflow_name, "parent", 1);
                }
                shared.wake.notify_one();
                shared.announcer.ready();
            });
            Ok(ids)
        })
    }
}
