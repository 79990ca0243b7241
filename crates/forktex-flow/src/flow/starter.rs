// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! Has the starts of many callers written together, and begins those that were born claimed.

use std::sync::Arc;

use forktex_db::DbError;
use futures_util::future::{BoxFuture, join_all};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::store::{ClaimedRun, FIRST_EPOCH, NewRun, Started, Store};
use crate::worker::Reservation;
use crate::worker::group_commit::{Bringer, GroupCommit, Pending};

/// The most runs that one statement starts.
const BATCH_MAX: usize = 256;

/// How many batches may be in flight.
const WRITERS: usize = 2;

/// A start on its way, with the slot that it will run in.
pub(super) struct Start {
    pub(super) run: NewRun,
    pub(super) reservation: Option<Reservation>,
}

type Outcome = Result<Started, DbError>;

/// Who waits for a start, and the slot that it will run in.
type Waiting = (Option<Reservation>, Bringer<Outcome>);

/// The writers of starts.
pub(super) struct Starter(GroupCommit<Start, Outcome>);

impl Starter {
    pub(super) fn start(
        store: Arc<dyn Store>,
        stop: &CancellationToken,
    ) -> (Self, Vec<JoinHandle<()>>) {
        let write = move |batch| -> BoxFuture<'static, ()> {
            let store = Arc::clone(&store);
            Box::pin(async move { write(&*store, batch).await })
        };
        let (group, tasks) = GroupCommit::start(WRITERS, BATCH_MAX, stop, write);
        (Self(group), tasks)
    }

    /// Brings a start and waits until it is written. `None` when the writers have stopped.
    pub(super) async fn submit(&self, start: Start) -> Option<Outcome> {
        self.0.submit(start).await
    }
}

async fn write(store: &dyn Store, batch: Vec<Pending<Start, Outcome>>) {
    let (runs, waiting): (Vec<NewRun>, Vec<Waiting>) = batch
        .into_iter()
        .map(|(start, bringer)| (start.run, (start.reservation, bringer)))
        .unzip();
    let outcomes = store.start(&runs).await;
    let starts = runs.into_iter().zip(waiting);
    match outcomes {
        Ok(outcomes) => {
            for ((run, waiting), outcome) in starts.zip(outcomes) {
                finish(run, waiting, Ok(outcome));
            }
        }
        // One start that is refused must not fail the others; only a refusal is known to have written
        // nothing.
        Err(DbError::Invalid { .. } | DbError::AlreadyExists { .. } | DbError::Sealed { .. })
            if starts.len() > 1 =>
        {
            join_all(starts.map(|(run, waiting)| async {
                let outcome = store.start(std::slice::from_ref(&run)).await;
                let outcome = outcome
                    .and_then(|outcomes| outcomes.into_iter().next().ok_or(DbError::NotFound));
                finish(run, waiting, outcome);
            }))
            .await;
        }
        Err(error) => starts.for_each(|(run, waiting)| finish(run, waiting, Err(error.clone()))),
    }
}

/// Begins a run that was born claimed, whether or not the starter still listens.
fn finish(run: NewRun, (reservation, bringer): Waiting, outcome: Outcome) {
    bringer.answer(outcome.clone());
    match (outcome, reservation) {
        (Ok(Started::Claimed { claimed_at }), Some(reservation)) => reservation.run(ClaimedRun {
            instance_id: run.instance_id,
            epoch: FIRST_EPOCH,
            definition_id: run.definition_id,
            namespace: run.namespace,
            input: run.input,
            metadata: run.metadata,
            journal: Vec::new(),
            is_child: false,
            deadline_at: run.deadline.map(|deadline| claimed_at + deadline),
            undo_reason: None,
            lost_attempts: 0,
            claimed_at,
            unreadable: None,
        }),
        (Ok(_), Some(reservation)) => reservation.release(),
        // It may be there after all: a dropped reservation is looked for.
        (Err(_), reservation) => drop(reservation),
        (Ok(_), None) => {}
    }
}
