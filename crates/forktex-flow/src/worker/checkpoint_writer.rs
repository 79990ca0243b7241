// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! Group commit: checkpoints of different runs are committed together.
//!
//! While one commit is in flight the next batch gathers; there is no timer, so a checkpoint that comes
//! alone pays one round trip. A caller is answered only after its commit.

use std::sync::Arc;
use std::time::{Duration, Instant};

use forktex_db::{CipherErrorKind, DbError};
use futures_util::future::{BoxFuture, join_all};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::group_commit::{self, GroupCommit};
use crate::store::{Checkpoint, Committed, Store};
use crate::telemetry;

/// The most checkpoints that one statement commits.
const BATCH_MAX: usize = 256;

/// How many batches may be in flight. More only split the batches.
const WRITERS: usize = 2;

/// How long a commit rests after the database failed.
const PAUSE_AFTER_ERROR: Duration = Duration::from_millis(200);

/// Why a checkpoint was not committed.
#[derive(Debug)]
pub(super) enum NotCommitted {
    /// The database refuses what is in it. Nothing was written.
    Refused(DbError),
    /// The worker is stopping.
    Stopped,
}

/// The entrance to the writers of checkpoints.
pub(super) struct CheckpointWriter(GroupCommit<Checkpoint, Outcome>);

type Outcome = Result<Committed, NotCommitted>;
type Pending = group_commit::Pending<Checkpoint, Outcome>;

impl CheckpointWriter {
    pub(super) fn start(
        store: Arc<dyn Store>,
        stop: &CancellationToken,
    ) -> (Self, Vec<JoinHandle<()>>) {
        let write = move |batch| -> BoxFuture<'static, ()> {
            let store = Arc::clone(&store);
            Box::pin(async move { commit(&*store, batch).await })
        };
        let (group, tasks) = GroupCommit::start(WRITERS, BATCH_MAX, stop, write);
        (Self(group), tasks)
    }

    /// Commits a checkpoint, however long the database is away.
    pub(super) async fn commit(&self, checkpoint: Checkpoint) -> Outcome {
        self.0
            .submit(checkpoint)
            .await
            .unwrap_or(Err(NotCommitted::Stopped))
    }
}

/// Commits a batch. One that the database refuses is halved until the culprit stands alone.
fn commit(store: &dyn Store, mut batch: Vec<Pending>) -> BoxFuture<'_, ()> {
    Box::pin(async move {
        let checkpoints: Vec<Checkpoint> =
            batch.iter().map(|pending| pending.item.clone()).collect();
        let began_at = Instant::now();
        match store.commit_batch(&checkpoints).await {
            Ok(outcomes) => {
                telemetry::checkpoints_committed(checkpoints.len(), began_at.elapsed());
                let mut passed_over = Vec::new();
                for (pending, outcome) in batch.into_iter().zip(outcomes) {
                    match outcome {
                        Some(committed) => {
                            pending.answer(Ok(committed));
                        }
                        None => passed_over.push(commit_alone(store, pending)),
                    }
                }
                join_all(passed_over).await;
            }
            Err(error) if is_refusal(&error) => {
                if batch.len() == 1 {
                    for pending in batch {
                        pending.answer(Err(NotCommitted::Refused(error.clone())));
                    }
                } else {
                    let second = batch.split_off(batch.len() / 2);
                    commit(store, batch).await;
                    commit(store, second).await;
                }
            }
            Err(error) => {
                tracing::warn!(%error, checkpoints = batch.len(), "a batch was not committed; trying each alone");
                join_all(
                    batch
                        .into_iter()
                        .map(|pending| commit_alone(store, pending)),
                )
                .await;
            }
        }
    })
}

/// Commits one checkpoint by the way that waits for locks and finds an earlier commit whose answer
/// was lost.
async fn commit_alone(store: &dyn Store, pending: Pending) {
    while !pending.is_abandoned() {
        match store.commit_alone(&pending.item).await {
            Ok(committed) => {
                pending.answer(Ok(committed));
                return;
            }
            Err(error) if is_refusal(&error) => {
                pending.answer(Err(NotCommitted::Refused(error)));
                return;
            }
            Err(error) => {
                tracing::warn!(%error, instance = %pending.item.instance_id, "a checkpoint was not committed; trying again");
                tokio::time::sleep(PAUSE_AFTER_ERROR).await;
            }
        }
    }
}

/// Whether the same statement would be refused again.
fn is_refusal(error: &DbError) -> bool {
    match error {
        // A key that is not at hand now may be later.
        DbError::Sealed { cause, .. } => cause.kind() != CipherErrorKind::Unavailable,
        error => matches!(
            error,
            DbError::Invalid { .. } | DbError::AlreadyExists { .. } | DbError::Unreadable { .. }
        ),
    }
}
