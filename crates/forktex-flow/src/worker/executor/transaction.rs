// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! Commits a step's own writes with its checkpoint: outside the batches, in the step's transaction.

use forktex_db::{DbError, Transaction};

use super::{Course, Execution, InFlight, end_of};
use crate::error::failure::{StepFailure, StepFailureKind};
use crate::state::delta::Delta;
use crate::store::{Committed, Then};
use crate::transition::{Event, cancelled};
use crate::worker::Held;

impl Execution {
    /// Ends a member by its transaction. Whatever comes of it, its body is over.
    pub(super) async fn commit_transaction(
        &mut self,
        held: &mut Held,
        member: usize,
        transaction: Transaction,
        delta: Delta,
    ) -> Course {
        let Some(body) = self.end_body(member) else {
            return Course::GoesOn;
        };
        let elapsed = body.started_at.elapsed();
        let delta = match self.checked(delta) {
            Ok(delta) => delta,
            Err(failure) => return self.fail_member(held, &body, failure).await,
        };
        let before = (self.snapshot.clone(), self.state.clone());
        let entries = self.decide(Event::Completed {
            member,
            elapsed,
            delta,
        });
        let mut checkpoint = self.checkpoint(held, entries);
        if let Err(course) = self.look_before_rest(held, &mut checkpoint).await {
            return course;
        }
        let mut transaction = transaction;
        let written = loop {
            match held
                .shared
                .store
                .commit_in(&mut transaction, &checkpoint)
                .await
            {
                Ok(Committed::Written) => break Ok(()),
                Ok(Committed::Fenced) => {
                    tracing::debug!(instance = %self.instance, "a run was taken over; this worker's transaction is rolled back");
                    self.tokens.told.cancel();
                    return Course::Left;
                }
                Ok(Committed::UndoRequested { reason }) => {
                    self.tokens.told.cancel();
                    self.begin_undo(held, &mut checkpoint, reason);
                }
                Ok(Committed::PauseRequested) => {
                    self.is_pausing = true;
                    checkpoint.is_pausing = true;
                }
                Ok(Committed::CancelRequested { reason }) => {
                    self.tokens.told.cancel();
                    checkpoint.entries = cancelled(checkpoint.entries, reason);
                    checkpoint.then = end_of(&checkpoint.entries).unwrap_or(Then::Continue);
                    checkpoint.is_cancelling = true;
                }
                Err(error) => break Err(error),
            }
        };
        let committed = match written {
            Ok(()) => transaction.commit().await,
            Err(error) => Err(error),
        };
        match committed {
            Ok(()) => {
                self.tell_of_attempt(&body, Ok(()));
                self.written(held, &checkpoint)
            }
            // The run is claimed again, and its journal tells whether the checkpoint is there.
            Err(DbError::OutcomeUnknown) => Course::Dropped,
            Err(error) => {
                (self.snapshot, self.state) = before;
                let message = format!("the step's transaction was not committed: {error}");
                let failure = StepFailure::new(StepFailureKind::Error, &message);
                self.fail_member(held, &body, failure).await
            }
        }
    }

    /// Stops a member's body, if it was running.
    fn end_body(&mut self, member: usize) -> Option<InFlight> {
        let mut bodies = self.in_flight.iter();
        let id = bodies.find(|(_, body)| body.member == member)?.0;
        let body = self.in_flight.remove(&id.clone())?;
        body.abort.abort();
        self.pending_calls.forget(member);
        Some(body)
    }

    async fn fail_member(
        &mut self,
        held: &mut Held,
        body: &InFlight,
        failure: StepFailure,
    ) -> Course {
        self.tell_of_attempt(body, Err(&failure));
        let event = self.failed(body.member, body.started_at.elapsed(), failure);
        let entries = self.decide(event);
        self.commit(held, entries).await
    }
}
