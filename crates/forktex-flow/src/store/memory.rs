// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! The store in memory: the transactions of the store on Postgres, under one lock, by a clock that only
//! moves when it is told to.
//!
//! A lease does not run out by this clock, which may leap a year while a worker lives: a worker is lost
//! when its heart is gone, or when it is said to be. All flows on one store are processes of one
//! database to each other.

mod active;
pub(crate) mod awaiting;
mod claims;
mod control;
mod definitions;
mod inbox;
mod lease;
mod messages;
mod migration;
#[cfg(feature = "planted-faults")]
mod planted;
mod queries;
mod runs;
mod schedules;
#[cfg(feature = "simulation")]
mod simulated;
mod tables;
#[cfg(test)]
mod tests;
pub(crate) mod time;

use std::ops::{Deref, DerefMut};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use ::time::OffsetDateTime;
use async_trait::async_trait;
use forktex_db::{Db, DbError, Transaction};
use tokio::sync::{broadcast, watch};

use crate::compile::CompiledWorkflow;
use crate::definition::topology::difference;
use crate::error::TopologyChanged;
use crate::identifier::{DefinitionId, Epoch, InstanceId, Namespace, WorkerId};
use crate::store::notice::{Notice, NoticeReceiver, NoticeSender};
use crate::store::{
    Cancelled, Candidate, Checkpoint, ClaimRequest, Claims, Committed, DefinitionRefused, Election,
    Heart, NewRun, Pulse, RestsOn, Started, Store, StoredInstance, Woken,
};
use tables::{Definition, Tables, WorkerRow};

/// How many notices may wait for a flow; more are left to polling.
const NOTICES_MAX: usize = 10_000;

/// How long a body may be silent until the clock goes on with the real one.
const STANDS_STILL_FOR: Duration = Duration::from_secs(1);

/// How often the clock is set while it goes on with the real one.
const PACE: Duration = Duration::from_millis(20);

/// Keeps runs in memory. Cheap to clone; clones share their runs.
#[derive(Debug, Clone)]
pub(crate) struct MemoryStore(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    tables: Mutex<Tables>,
    /// Told of every change.
    changes: watch::Sender<()>,
    /// Told when a worker should look at once.
    rousing: watch::Sender<()>,
    notices: broadcast::Sender<Notice>,
    /// Where the time is that of the runtime, when that began.
    begun: Option<(OffsetDateTime, tokio::time::Instant)>,
    #[cfg(feature = "planted-faults")]
    planted: Option<crate::planted::PlantedFault>,
}

/// A transaction: what it changed is told when it is over.
struct Change<'a> {
    tables: MutexGuard<'a, Tables>,
    changes: &'a watch::Sender<()>,
}

impl Deref for Change<'_> {
    type Target = Tables;

    fn deref(&self) -> &Tables {
        &self.tables
    }
}

impl DerefMut for Change<'_> {
    fn deref_mut(&mut self) -> &mut Tables {
        &mut self.tables
    }
}

impl Drop for Change<'_> {
    fn drop(&mut self) {
        self.changes.send_replace(());
    }
}

impl Shared {
    fn at(now: OffsetDateTime) -> Self {
        Self {
            tables: Mutex::new(Tables::at(now)),
            changes: watch::Sender::new(()),
            rousing: watch::Sender::new(()),
            notices: broadcast::Sender::new(NOTICES_MAX),
            begun: None,
            #[cfg(feature = "planted-faults")]
            planted: None,
        }
    }
}

impl MemoryStore {
    /// An empty store, whose clock stands at a time.
    pub(crate) fn at(now: OffsetDateTime) -> Self {
        Self(Arc::new(Shared::at(now)))
    }

    /// The tables, to be read.
    fn tables(&self) -> MutexGuard<'_, Tables> {
        let tables = self.0.tables.lock().unwrap_or_else(PoisonError::into_inner);
        self.0.up_to_date(tables)
    }

    /// The tables, to be written.
    fn change(&self) -> Change<'_> {
        Change {
            tables: self.tables(),
            changes: &self.0.changes,
        }
    }

    /// What its clock shows.
    pub(crate) fn clock(&self) -> OffsetDateTime {
        self.tables().now
    }

    /// Has every worker look at once.
    fn rouse(&self) {
        self.0.rousing.send_replace(());
    }

    /// Moves the clock on whenever that is called for. Never ends.
    ///
    /// It leaps where nothing is being done. While something is, it stands still, and a body that is
    /// quickly done takes no time; where nothing has come of it for a while, it goes on with the real
    /// one, so that a body that hangs meets its run's deadline.
    pub(crate) async fn move_clock(&self) {
        if self.0.begun.is_some() {
            return;
        }
        let mut changes = self.0.changes.subscribe();
        let mut patience = STANDS_STILL_FOR;
        loop {
            changes.mark_unchanged();
            while self.tables().move_clock() {
                self.tell_of_time();
                patience = STANDS_STILL_FOR;
            }
            if self.tables().has_work_for_the_idle() {
                self.rouse();
            }
            let waited_since = Instant::now();
            let is_over = tokio::select! {
                told = changes.changed() => {
                    if told.is_err() {
                        return;
                    }
                    false
                }
                () = tokio::time::sleep(patience) => true,
            };
            patience = STANDS_STILL_FOR;
            if is_over && self.tables().is_busy() {
                self.tables().let_pass(waited_since.elapsed());
                self.tell_of_time();
                patience = PACE;
            }
        }
    }

    fn tell_of_time(&self) {
        self.0.changes.send_replace(());
        self.rouse();
    }

    /// Has a worker count as dead, and others take what it held.
    pub(crate) fn lose(&self, worker: WorkerId) {
        let mut tables = self.change();
        if let Some(row) = tables.workers.get_mut(&worker)
            && !row.is_lost
        {
            row.is_lost = true;
            tables.release(|run| run.owner() == Some(worker), true);
            if tables.leader == Some(worker) {
                tables.leader = None;
            }
        }
        drop(tables);
        self.rouse();
    }
}

/// The refusal of what cannot be written, or what only a database can do.
fn refused(what: &'static str) -> DbError {
    DbError::Invalid {
        reason: what.into(),
        constraint: None,
        column: None,
        sqlstate: None,
    }
}

/// The heart of one worker, which is lost with it.
struct MemoryHeart {
    store: MemoryStore,
    worker: Option<WorkerId>,
    rousing: watch::Receiver<()>,
}

impl Drop for MemoryHeart {
    fn drop(&mut self) {
        // Where leases run out, nobody hears of a death.
        if self.store.0.begun.is_some() {
            return;
        }
        if let Some(worker) = self.worker {
            self.store.lose(worker);
        }
    }
}

#[async_trait]
impl Heart for MemoryHeart {
    async fn pulse(
        &mut self,
        worker: WorkerId,
        lease: Duration,
        definitions: &[DefinitionId],
    ) -> Result<Pulse, DbError> {
        if self.store.0.begun.is_some() {
            return Ok(self
                .store
                .change()
                .pulse_of_a_lease(worker, lease, definitions));
        }
        self.worker = Some(worker);
        self.rousing.mark_unchanged();
        // Nothing that anybody waits for is changed by it.
        let mut tables = self.store.tables();
        if let Some(row) = tables.workers.get_mut(&worker) {
            row.definitions = definitions.to_vec();
        }
        Ok(tables.pulse(worker, definitions))
    }

    async fn roused(&mut self) {
        // The sender lives as long as the store, which this holds.
        let _ = self.rousing.changed().await;
    }
}

#[async_trait]
impl Candidate for MemoryStore {
    async fn contend(&mut self, worker: WorkerId, stale_after: Duration) -> Result<bool, DbError> {
        let mut tables = self.change();
        if self.0.begun.is_some() {
            return Ok(tables.take_stale_leadership(worker, stale_after));
        }
        let is_free = tables
            .leader
            .is_none_or(|leader| leader == worker || !tables.holds_lease(leader));
        if is_free {
            tables.leader = Some(worker);
            // The leader's duties begin with the next pulse.
            self.rouse();
        }
        Ok(is_free)
    }

    async fn step_down(&mut self, worker: WorkerId) {
        let mut tables = self.change();
        if tables.leader == Some(worker) {
            tables.leader = None;
        }
    }
}

#[async_trait]
impl NoticeSender for MemoryStore {
    async fn send(&self, notices: &[Notice]) -> Result<(), DbError> {
        for notice in notices {
            // Nobody may be listening.
            let _ = self.0.notices.send(*notice);
        }
        Ok(())
    }
}

/// The notices of all flows on one store.
pub(crate) struct MemoryReceiver(broadcast::Receiver<Notice>);

impl MemoryReceiver {
    pub(crate) fn new(store: &MemoryStore) -> Self {
        Self(store.0.notices.subscribe())
    }
}

#[async_trait]
impl NoticeReceiver for MemoryReceiver {
    async fn receive(&mut self) -> Result<Vec<Notice>, DbError> {
        // Those that were missed are left to polling.
        Ok(self.0.recv().await.into_iter().collect())
    }
}

#[async_trait]
impl Store for MemoryStore {
    fn heart(&self) -> Box<dyn Heart> {
        Box::new(MemoryHeart {
            store: self.clone(),
            worker: None,
            rousing: self.0.rousing.subscribe(),
        })
    }

    fn virtual_time(&self) -> Option<MemoryStore> {
        Some(self.clone())
    }

    fn candidate(&self, _: Election) -> Box<dyn Candidate> {
        Box::new(self.clone())
    }

    async fn put_definition(
        &self,
        workflow: &CompiledWorkflow,
    ) -> Result<DefinitionId, DefinitionRefused> {
        let mut tables = self.change();
        match tables.definition(&Namespace::default(), &workflow.name, workflow.version) {
            Some((_, stored)) if stored.topology_hash != workflow.topology_hash => {
                Err(DefinitionRefused::Topology(TopologyChanged {
                    workflow: workflow.name.clone(),
                    version: workflow.version,
                    difference: difference(&stored.topology_lines, &workflow.topology_lines),
                }))
            }
            Some((id, _)) => Ok(id),
            None => Ok(tables.put(Definition::of(&Namespace::default(), workflow))),
        }
    }

    async fn register_worker(
        &self,
        worker: WorkerId,
        _name: &str,
        lease: Duration,
        definitions: &[DefinitionId],
    ) -> Result<(), DbError> {
        let mut tables = self.change();
        let row = WorkerRow {
            definitions: definitions.to_vec(),
            is_lost: false,
            lease_until: self.0.begun.map(|_| tables.now + lease),
        };
        tables.workers.insert(worker, row);
        Ok(())
    }

    async fn remove_worker(&self, worker: WorkerId) -> Result<(), DbError> {
        let mut tables = self.change();
        tables.release(|run| run.owner() == Some(worker), false);
        if let Some(row) = tables.workers.get_mut(&worker) {
            row.is_lost = true;
        }
        Ok(())
    }

    async fn start(&self, runs: &[NewRun]) -> Result<Vec<Started>, DbError> {
        let mut tables = self.change();
        Ok(runs.iter().map(|run| tables.start(run)).collect())
    }

    async fn claim(&self, request: &ClaimRequest<'_>) -> Result<Claims, DbError> {
        Ok(self.change().claim(request))
    }

    async fn claim_within_limits(&self, request: &ClaimRequest<'_>) -> Result<Claims, DbError> {
        Ok(self.change().claim_within_limits(request))
    }

    async fn wake_due(&self) -> Result<Woken, DbError> {
        Ok(self.change().wake_due())
    }

    async fn release_lost(&self) -> Result<u64, DbError> {
        if self.0.begun.is_some() {
            return Ok(self.change().release_expired());
        }
        // Done when a worker is lost.
        Ok(0)
    }

    async fn release_unheld(
        &self,
        worker: WorkerId,
        held: &[(InstanceId, Epoch)],
    ) -> Result<u64, DbError> {
        Ok(self.change().release(
            |run| run.owner() == Some(worker) && !held.contains(&(run.instance_id, run.epoch)),
            false,
        ))
    }

    async fn commit_batch(
        &self,
        checkpoints: &[Checkpoint],
    ) -> Result<Vec<Option<Committed>>, DbError> {
        #[cfg(feature = "planted-faults")]
        for checkpoint in checkpoints {
            self.commit_a_part_first(checkpoint).await;
        }
        let mut tables = self.change();
        Ok(checkpoints
            .iter()
            .map(|checkpoint| {
                let may_spawn = tables.may_spawn(checkpoint);
                let done = may_spawn.then(|| tables.commit(checkpoint));
                done.filter(|done| *done == Committed::Written)
            })
            .collect())
    }

    async fn commit_alone(&self, checkpoint: &Checkpoint) -> Result<Committed, DbError> {
        #[cfg(feature = "planted-faults")]
        self.commit_a_part_first(checkpoint).await;
        let mut tables = self.change();
        if !tables.may_spawn(checkpoint) {
            return Err(refused(
                "the workflow of a run that is spawned was removed meanwhile",
            ));
        }
        Ok(tables.commit(checkpoint))
    }

    fn database(&self) -> Option<Db> {
        None
    }

    async fn commit_in(&self, _: &mut Transaction, _: &Checkpoint) -> Result<Committed, DbError> {
        Err(refused(
            "a checkpoint in a transaction needs a flow on a database; this one is in memory",
        ))
    }

    async fn start_in(&self, _: &mut Transaction, _: &NewRun) -> Result<Started, DbError> {
        Err(refused(
            "a start in a transaction needs a flow on a database; this one is in memory",
        ))
    }

    async fn hand_back(
        &self,
        instance: InstanceId,
        epoch: Epoch,
        on: &RestsOn,
        delay: Duration,
    ) -> Result<(), DbError> {
        self.change().hand_back(instance, epoch, on, delay);
        Ok(())
    }

    async fn cancel(
        &self,
        instance: InstanceId,
        reason: &str,
        grace: Duration,
    ) -> Result<Cancelled, DbError> {
        Ok(self.change().cancel(instance, reason, grace))
    }

    async fn end_overdue_cancellations(&self) -> Result<Vec<InstanceId>, DbError> {
        Ok(self.change().end_overdue_cancellations())
    }

    async fn read(&self, instance: InstanceId) -> Result<Option<StoredInstance>, DbError> {
        Ok(self.tables().read(instance))
    }

    async fn ended(&self, instances: &[InstanceId]) -> Result<Vec<InstanceId>, DbError> {
        let tables = self.tables();
        Ok(instances
            .iter()
            .filter(|instance| !tables.active.contains(**instance))
            .copied()
            .collect())
    }
}
