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

/// How many batches of runs that go on may be in flight, and of those that rest or end. More only split
/// the batches.
const WRITERS: (usize, usize) = (2, 1);

/// How long a commit rests after the database failed.
const PAUSE_AFTER_ERROR: Duration = Duration::from_millis(200);

/// The entrance to the writers of checkpoints. Most runs go on, and for those a shorter statement does:
/// it is not held up by the few that rest or end.
pub(super) struct CheckpointWriter {
    going_on: Lane,
    others: Lane,
}

type Lane = GroupCommit<Checkpoint, Answer>;
/// The checkpoint comes back, as it may have to be changed.
type Answer = (Checkpoint, Outcome);
/// An error is the database's refusal of what is in it; nothing was written then.
type Outcome = Result<Committed, DbError>;
type Pending = group_commit::Pending<Checkpoint, Answer>;

impl CheckpointWriter {
    pub(super) fn start(
        store: Arc<dyn Store>,
        stop: &CancellationToken,
    ) -> (Self, Vec<JoinHandle<()>>) {
        let write = move |batch| -> BoxFuture<'static, ()> {
            let store = Arc::clone(&store);
            Box::pin(async move { commit(&*store, batch).await })
        };
        let (going_on, mut tasks) = GroupCommit::start(WRITERS.0, BATCH_MAX, stop, write.clone());
        let (others, other_tasks) = GroupCommit::start(WRITERS.1, BATCH_MAX, stop, write);
        tasks.extend(other_tasks);
        (Self { going_on, others }, tasks)
    }

    /// Commits a checkpoint, however long the database is away. `None` where the worker is stopping.
    pub(super) async fn commit(&self, checkpoint: Checkpoint) -> Option<Answer> {
        let lane = if checkpoint.only_goes_on() {
            &self.going_on
        } else {
            &self.others
        };
        lane.submit(checkpoint).await
    }
}

/// Commits a batch. One that the database refuses is halved until the culprit stands alone.
fn commit(store: &dyn Store, batch: Vec<Pending>) -> BoxFuture<'_, ()> {
    Box::pin(async move {
        let (checkpoints, bringers): (Vec<Checkpoint>, Vec<_>) = batch.into_iter().unzip();
        let began_at = Instant::now();
        let committed = store.commit_batch(&checkpoints).await;
        let mut batch = checkpoints.into_iter().zip(bringers);
        match committed {
            Ok(outcomes) => {
                telemetry::checkpoints_committed(batch.len(), began_at.elapsed());
                let mut passed_over = Vec::new();
                for ((checkpoint, bringer), outcome) in batch.zip(outcomes) {
                    match outcome {
                        Some(committed) => bringer.answer((checkpoint, Ok(committed))),
                        None => passed_over.push(commit_alone(store, (checkpoint, bringer))),
                    }
                }
                join_all(passed_over).await;
            }
            Err(error) if is_refusal(&error) => {
                if batch.len() == 1 {
                    for (checkpoint, bringer) in batch {
                        bringer.answer((checkpoint, Err(error.clone())));
                    }
                } else {
                    let half = batch.len() / 2;
                    let first = batch.by_ref().take(half).collect();
                    commit(store, first).await;
                    commit(store, batch.collect()).await;
                }
            }
            Err(error) => {
                tracing::warn!(%error, checkpoints = batch.len(), "a batch was not committed; trying each alone");
                join_all(batch.map(|pending| commit_alone(store, pending))).await;
            }
        }
    })
}

/// Commits one checkpoint by the way that waits for locks and finds an earlier commit whose answer
/// was lost.
async fn commit_alone(store: &dyn Store, (checkpoint, bringer): Pending) {
    while !bringer.is_gone() {
        match store.commit_alone(&checkpoint).await {
            Ok(committed) => {
                bringer.answer((checkpoint, Ok(committed)));
                return;
            }
            Err(error) if is_refusal(&error) => {
                bringer.answer((checkpoint, Err(error)));
                return;
            }
            Err(error) => {
                tracing::warn!(%error, instance = %checkpoint.instance_id, "a checkpoint was not committed; trying again");
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
