// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! A store in memory at the end of a line, on which calls are held up, lost, and done twice: what one
//! process of a simulation has for a database.

mod effects;
mod others;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use forktex_db::{Db, DbError, Transaction};
use time::OffsetDateTime;

use super::memory::MemoryStore;
use super::{
    Cancelled, Candidate, Checkpoint, ClaimRequest, Claimable, Claims, Committed,
    DefinitionRefused, Election, Heart, NewRun, Pulse, RestsOn, Started, Store, StoredInstance,
    Woken,
};
use crate::clock::StoreClock;
use crate::compile::CompiledWorkflow;
use crate::identifier::{DefinitionId, Epoch, InstanceId, WorkerId};
use crate::simulation::{Effect, Line, Passage};

/// The store of one process.
#[derive(Clone)]
pub(crate) struct StoreOnLine {
    pub(super) store: MemoryStore,
    pub(super) line: Arc<dyn Line>,
}

impl StoreOnLine {
    pub(crate) fn new(store: MemoryStore, line: Arc<dyn Line>) -> Self {
        Self { store, line }
    }
}

/// What a caller is told of a call whose answer did not arrive, whether it was done or not.
pub(super) fn unheard() -> DbError {
    DbError::Unavailable {
        server: None,
        reason: "the line went dead",
        sqlstate: None,
    }
}

/// Does a call as the line has it, and tells what it did.
macro_rules! passed {
    ($self:ident, $call:expr, $done:expr) => {
        passed!($self, $call, $done, |_| {})
    };
    ($self:ident, $call:expr, $done:expr, |$answer:pat_param| $told:expr) => {{
        let passage = $self.line.reach($call).await;
        if passage == Passage::Lost {
            return Err(unheard());
        }
        let mut done = $done.await;
        if let Ok($answer) = &done {
            $told;
        }
        if passage == Passage::Doubled && may_be_doubled($call) {
            done = $done.await;
            if let Ok($answer) = &done {
                $told;
            }
        }
        $self.line.answer($call).await;
        if passage == Passage::AnswerLost {
            return Err(unheard());
        }
        done
    }};
}
pub(super) use passed;

/// Whether a call is one that the engine may make again when it does not know what became of it.
pub(super) fn may_be_doubled(call: &str) -> bool {
    matches!(
        call,
        "commit"
            | "commit_alone"
            | "wake"
            | "deliver"
            | "release_lost"
            | "release_unheld"
            | "fire"
            | "hand_back"
            | "pulse"
            | "contend"
            | "remove_worker"
            | "post_keyed"
    )
}

#[async_trait]
impl Store for StoreOnLine {
    fn heart(&self) -> Box<dyn Heart> {
        Box::new(HeartOnLine {
            heart: self.store.heart(),
            line: Arc::clone(&self.line),
        })
    }

    fn clock_from(&self, reading: OffsetDateTime) -> StoreClock {
        // Carried forward as a database's clock is, by the monotonic clock of the runtime.
        let taken_at = tokio::time::Instant::now();
        StoreClock::Virtual(Arc::new(move || reading + taken_at.elapsed()))
    }

    fn candidate(&self, election: Election) -> Box<dyn Candidate> {
        Box::new(CandidateOnLine {
            candidate: self.store.candidate(election),
            line: Arc::clone(&self.line),
        })
    }

    async fn put_definition(
        &self,
        workflow: &CompiledWorkflow,
    ) -> Result<DefinitionId, DefinitionRefused> {
        if self.line.reach("put_definition").await == Passage::Lost {
            return Err(DefinitionRefused::Database(unheard()));
        }
        let done = self.store.put_definition(workflow).await;
        self.line.answer("put_definition").await;
        done
    }

    async fn register_worker(
        &self,
        worker: WorkerId,
        name: &str,
        lease: Duration,
        definitions: &[DefinitionId],
    ) -> Result<(), DbError> {
        let store = &self.store;
        passed!(
            self,
            "register_worker",
            store.register_worker(worker, name, lease, definitions)
        )
    }

    async fn remove_worker(&self, worker: WorkerId) -> Result<(), DbError> {
        passed!(self, "remove_worker", self.store.remove_worker(worker))
    }

    async fn start(&self, runs: &[NewRun]) -> Result<Vec<Started>, DbError> {
        passed!(self, "start", self.store.start(runs), |outcomes| {
            self.saw_starts(runs, outcomes);
        })
    }

    async fn claim(&self, request: &ClaimRequest<'_>) -> Result<Claims, DbError> {
        passed!(self, "claim", self.store.claim(request), |claims| {
            self.saw_claims(&claims.runs, request.which == Claimable::Suspect);
        })
    }

    async fn claim_within_limits(&self, request: &ClaimRequest<'_>) -> Result<Claims, DbError> {
        let claim = || self.store.claim_within_limits(request);
        passed!(self, "claim_within_limits", claim(), |claims| {
            self.saw_claims(&claims.runs, request.which == Claimable::Suspect);
        })
    }

    async fn wake_due(&self) -> Result<Woken, DbError> {
        passed!(self, "wake", self.store.wake_due())
    }

    async fn release_lost(&self) -> Result<u64, DbError> {
        passed!(self, "release_lost", self.store.release_lost(), |runs| {
            if *runs > 0 {
                self.line.saw(Effect::LeasesLost { runs: *runs });
            }
        })
    }

    async fn release_unheld(
        &self,
        worker: WorkerId,
        held: &[(InstanceId, Epoch)],
    ) -> Result<u64, DbError> {
        passed!(
            self,
            "release_unheld",
            self.store.release_unheld(worker, held)
        )
    }

    async fn commit_batch(
        &self,
        checkpoints: &[Checkpoint],
    ) -> Result<Vec<Option<Committed>>, DbError> {
        passed!(
            self,
            "commit",
            self.store.commit_batch(checkpoints),
            |outcomes| {
                for (checkpoint, outcome) in checkpoints.iter().zip(outcomes) {
                    self.saw_commit(checkpoint, outcome.as_ref());
                }
            }
        )
    }

    async fn commit_alone(&self, checkpoint: &Checkpoint) -> Result<Committed, DbError> {
        passed!(
            self,
            "commit_alone",
            self.store.commit_alone(checkpoint),
            |outcome| {
                self.saw_commit(checkpoint, Some(outcome));
            }
        )
    }

    fn database(&self) -> Option<Db> {
        None
    }

    async fn commit_in(
        &self,
        transaction: &mut Transaction,
        checkpoint: &Checkpoint,
    ) -> Result<Committed, DbError> {
        self.store.commit_in(transaction, checkpoint).await
    }

    async fn start_in(
        &self,
        transaction: &mut Transaction,
        run: &NewRun,
    ) -> Result<Started, DbError> {
        self.store.start_in(transaction, run).await
    }

    async fn hand_back(
        &self,
        instance: InstanceId,
        epoch: Epoch,
        on: &RestsOn,
        delay: Duration,
    ) -> Result<(), DbError> {
        let hand_back = || self.store.hand_back(instance, epoch, on, delay);
        passed!(self, "hand_back", hand_back(), |_done| {
            self.line.saw(Effect::HandedBack {
                run: instance,
                epoch: epoch.0,
            });
        })
    }

    async fn cancel(
        &self,
        instance: InstanceId,
        reason: &str,
        grace: Duration,
    ) -> Result<Cancelled, DbError> {
        let cancel = || self.store.cancel(instance, reason, grace);
        passed!(self, "cancel", cancel(), |outcome| {
            self.saw_cancel(instance, outcome);
        })
    }

    async fn end_overdue_cancellations(&self) -> Result<Vec<InstanceId>, DbError> {
        let end = || self.store.end_overdue_cancellations();
        passed!(self, "end_overdue", end(), |ended| {
            for run in ended {
                self.line.saw(Effect::Overdue { run: *run });
            }
        })
    }

    async fn read(&self, instance: InstanceId) -> Result<Option<StoredInstance>, DbError> {
        passed!(self, "read", self.store.read(instance))
    }

    async fn ended(&self, instances: &[InstanceId]) -> Result<Vec<InstanceId>, DbError> {
        passed!(self, "ended", self.store.ended(instances))
    }
}

struct HeartOnLine {
    heart: Box<dyn Heart>,
    line: Arc<dyn Line>,
}

#[async_trait]
impl Heart for HeartOnLine {
    async fn pulse(
        &mut self,
        worker: WorkerId,
        lease: Duration,
        definitions: &[DefinitionId],
    ) -> Result<Pulse, DbError> {
        let heart = &mut self.heart;
        passed!(self, "pulse", heart.pulse(worker, lease, definitions))
    }
}

struct CandidateOnLine {
    candidate: Box<dyn Candidate>,
    line: Arc<dyn Line>,
}

#[async_trait]
impl Candidate for CandidateOnLine {
    async fn contend(&mut self, worker: WorkerId, stale_after: Duration) -> Result<bool, DbError> {
        let candidate = &mut self.candidate;
        passed!(
            self,
            "contend",
            candidate.contend(worker, stale_after),
            |leads| {
                if *leads {
                    self.line.saw(Effect::Elected);
                }
            }
        )
    }

    async fn step_down(&mut self, worker: WorkerId) {
        if self.line.reach("step_down").await != Passage::Lost {
            self.candidate.step_down(worker).await;
        }
    }
}
