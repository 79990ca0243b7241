// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! Claims runs, runs their steps, and commits what came of them.
//!
//! A worker never decides where a run goes; that is [`transition`](crate::transition)'s. It meets
//! other workers and the driver only in the tables.

mod checkpoint_writer;
mod claimer;
mod executor;
pub(crate) mod fault;
pub(crate) mod group_commit;
mod heartbeat;
mod incarnation;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use forktex_db::DbError;
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore, watch};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::catalog::Catalog;
use crate::identifier::{Epoch, InstanceId, WorkerId};
use crate::step::Resources;
use crate::store::{ClaimedRun, FIRST_EPOCH, Pulse, Store};
use checkpoint_writer::CheckpointWriter;
pub(crate) use executor::STATE_BYTES_MAX;
use fault::Faults;
use incarnation::{Incarnation, Incarnations, RunTokens};

/// How a worker is set up.
#[derive(Debug, Clone)]
pub(crate) struct WorkerOptions {
    pub(crate) name: String,
    pub(crate) slots: u32,
    pub(crate) lease: Duration,
    pub(crate) drain_timeout: Duration,
}

/// Told when something happened that others may wait for. Called after the commit.
pub(crate) trait Announcer: Send + Sync + 'static {
    /// The run has ended.
    fn ended(&self, instance: InstanceId);

    /// Something was recorded of the run; `is_told` where a step wants others to know at once.
    fn progressed(&self, instance: InstanceId, is_told: bool);

    /// Runs are ready to be claimed.
    fn ready(&self);

    /// The cancellation of an owned run was asked for.
    fn cancelling(&self, instance: InstanceId);
}

/// A worker that is running.
pub(crate) struct Worker {
    shared: Arc<Shared>,
    stop: CancellationToken,
    heartbeat_stop: CancellationToken,
    tasks: Vec<JoinHandle<()>>,
    heartbeat: JoinHandle<()>,
    pulses: watch::Receiver<Pulse>,
}

/// What the tasks of a worker share.
pub(crate) struct Shared {
    store: Arc<dyn Store>,
    options: WorkerOptions,
    catalog: Arc<Catalog>,
    resources: Resources,
    incarnations: Incarnations,
    writer: CheckpointWriter,
    slots: Arc<Semaphore>,
    /// One suspect at a time.
    suspect_slot: Arc<Semaphore>,
    /// Bodies that hold a connection of the pool by `ctx.transaction`. Such a body may have to wait until
    /// the checkpoint of a neighbour is written, so they must leave connections for that.
    transaction_turns: Arc<Semaphore>,
    /// Whether a suspect may be ready, as last heard.
    suspects_ready: AtomicBool,
    /// Whether a limit kept a ready run from this worker, as last heard: what ends here may free a place.
    limits_hold: AtomicBool,
    /// The tables may say that this worker owns a run that it does not hold: an answer was lost.
    must_reconcile: AtomicBool,
    /// Messages may have come for runs that nobody owns.
    messages_due: AtomicBool,
    /// Something may be ready to be claimed.
    wake: Notify,
    /// When the next sleeping run is due, as far as this worker knows.
    next_due: watch::Sender<Option<tokio::time::Instant>>,
    draining: CancellationToken,
    runs: TaskTracker,
    announcer: Arc<dyn Announcer>,
    /// What goes wrong on purpose.
    faults: Option<Arc<Faults>>,
}

impl Worker {
    /// Registers an incarnation and starts to claim.
    pub(crate) async fn start(
        store: Arc<dyn Store>,
        options: WorkerOptions,
        catalog: Arc<Catalog>,
        resources: Resources,
        announcer: Arc<dyn Announcer>,
        faults: Option<Arc<Faults>>,
    ) -> Result<Self, DbError> {
        let incarnations = Incarnations::new();
        store
            .register_worker(
                incarnations.current().worker_id,
                &options.name,
                options.lease,
                &catalog.definitions(),
            )
            .await?;
        let stop = CancellationToken::new();
        let (writer, writer_tasks) = CheckpointWriter::start(Arc::clone(&store), &stop);
        let shared = Arc::new(Shared {
            slots: Arc::new(Semaphore::new(options.slots as usize)),
            suspect_slot: Arc::new(Semaphore::new(1)),
            transaction_turns: Arc::new(Semaphore::new(transaction_turns(&*store))),
            suspects_ready: AtomicBool::new(true),
            limits_hold: AtomicBool::new(false),
            must_reconcile: AtomicBool::new(false),
            messages_due: AtomicBool::new(true),
            wake: Notify::new(),
            next_due: watch::Sender::new(None),
            draining: CancellationToken::new(),
            runs: TaskTracker::new(),
            incarnations,
            writer,
            store,
            options,
            catalog,
            resources,
            announcer,
            faults,
        });
        let mut tasks = writer_tasks;
        tasks.push(tokio::spawn(claimer::run(
            Arc::clone(&shared),
            stop.clone(),
        )));
        let (sender, pulses) = watch::channel(Pulse::default());
        let heartbeat_stop = CancellationToken::new();
        let heartbeat = tokio::spawn(heartbeat::run(
            Arc::clone(&shared),
            heartbeat_stop.clone(),
            sender,
        ));
        shared.wake.notify_one();
        Ok(Self {
            shared,
            stop,
            heartbeat_stop,
            tasks,
            heartbeat,
            pulses,
        })
    }

    /// The worker as it is known in the tables now.
    pub(crate) fn handle(&self) -> WorkerHandle {
        WorkerHandle(Arc::clone(&self.shared))
    }

    /// What the heartbeat learns.
    pub(crate) fn pulses(&self) -> watch::Receiver<Pulse> {
        self.pulses.clone()
    }

    /// Drains: claims no more, lets running steps finish within the drain timeout, hands the rest
    /// back uncounted.
    pub(crate) async fn stop(mut self) -> Result<(), DbError> {
        self.shared.draining.cancel();
        self.shared.runs.close();
        let drained =
            tokio::time::timeout(self.shared.options.drain_timeout, self.shared.runs.wait()).await;
        self.heartbeat_stop.cancel();
        let incarnation = self.shared.incarnations.current();
        if drained.is_err() {
            incarnation.tell_and_abandon();
            self.shared.runs.wait().await;
        }
        self.stop.cancel();
        for task in self.tasks.drain(..) {
            let _ = task.await;
        }
        let _ = (&mut self.heartbeat).await;
        self.shared.store.remove_worker(incarnation.worker_id).await
    }
}

/// How many bodies may have a transaction of their own open at a time: half of the pool without the
/// connection that listens for notices, at least one.
fn transaction_turns(store: &dyn Store) -> usize {
    let connections = |db: forktex_db::Db| db.pool().options().get_max_connections();
    let connections = store.database().map_or(0, connections);
    (connections.saturating_sub(1) / 2).max(1) as usize
}

impl Drop for Worker {
    /// Without [`stop`](Self::stop) the tasks end at once, and the runs are lost with the lease.
    fn drop(&mut self) {
        self.stop.cancel();
        self.heartbeat_stop.cancel();
        self.shared.draining.cancel();
        self.shared.incarnations.current().tell_and_abandon();
        for task in &self.tasks {
            task.abort();
        }
        self.heartbeat.abort();
    }
}

/// Reaches a running worker from the flow's other parts.
#[derive(Clone)]
pub(crate) struct WorkerHandle(Arc<Shared>);

impl WorkerHandle {
    pub(crate) fn worker_id(&self) -> WorkerId {
        self.0.incarnations.current().worker_id
    }

    /// Something may be ready to be claimed.
    pub(crate) fn wake(&self) {
        self.0.wake.notify_one();
    }

    /// Messages may have come for runs that nobody owns.
    pub(crate) fn deliver(&self) {
        self.0.deliver_soon();
    }

    /// The cancellation of a run was asked for; tells it if it is held here.
    pub(crate) fn tell_cancelled(&self, instance: InstanceId) {
        self.0.incarnations.current().tell(instance);
    }

    /// A slot for a run that is about to be started claimed, if one is free.
    pub(crate) fn reserve(&self, instance: InstanceId) -> Option<Reservation> {
        if self.0.draining.is_cancelled() {
            return None;
        }
        let permit = Arc::clone(&self.0.slots).try_acquire_owned().ok()?;
        let held = Held::new(Arc::clone(&self.0), instance, FIRST_EPOCH);
        Some(Reservation { held, permit })
    }
}

/// A slot that is kept for one run. If it is dropped, the run is looked for in the tables and handed
/// back should it be there.
pub(crate) struct Reservation {
    held: Held,
    permit: OwnedSemaphorePermit,
}

impl Reservation {
    pub(crate) fn worker_id(&self) -> WorkerId {
        self.held.worker_id()
    }

    /// Gives the slot up: the run was not started.
    pub(crate) fn release(self) {
        self.held.leave();
    }

    /// Runs the run that was started for this slot.
    pub(crate) fn run(self, run: ClaimedRun) {
        executor::spawn(self.held, run, self.permit);
    }
}

/// A run's place in the worker; given up however its task ends.
pub(crate) struct Held {
    shared: Arc<Shared>,
    incarnation: Arc<Incarnation>,
    instance: InstanceId,
    epoch: Epoch,
    suspect_permit: Option<OwnedSemaphorePermit>,
    tokens: RunTokens,
    /// Whether the tables know that the run is not held here any more.
    has_left: bool,
}

impl Held {
    fn new(shared: Arc<Shared>, instance: InstanceId, epoch: Epoch) -> Self {
        let incarnation = shared.incarnations.current();
        Self::under(shared, incarnation, instance, epoch)
    }

    fn under(
        shared: Arc<Shared>,
        incarnation: Arc<Incarnation>,
        instance: InstanceId,
        epoch: Epoch,
    ) -> Self {
        let tokens = incarnation.hold(instance, epoch);
        Self {
            shared,
            incarnation,
            instance,
            epoch,
            suspect_permit: None,
            tokens,
            has_left: false,
        }
    }

    fn worker_id(&self) -> WorkerId {
        self.incarnation.worker_id
    }

    /// The run has shown that it does not kill its process: another suspect may have its turn.
    fn clear_suspicion(&mut self) {
        if self.suspect_permit.take().is_some() {
            self.shared.suspects_ready.store(true, Ordering::Relaxed);
            self.shared.wake.notify_one();
        }
    }

    /// The run ended, sleeps, or is another's: the tables say so.
    fn leave(mut self) {
        self.has_left = true;
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.clear_suspicion();
        self.incarnation.release(self.instance, self.epoch);
        if self.shared.limits_hold.load(Ordering::Relaxed) {
            self.shared.wake.notify_one();
        }
        if !self.has_left && !self.incarnation.is_lost() {
            self.shared.reconcile_soon();
        }
    }
}

impl Shared {
    /// Has the claimer wake the runs for which messages have come.
    fn deliver_soon(&self) {
        self.messages_due.store(true, Ordering::Relaxed);
        self.wake.notify_one();
    }

    /// Has the claimer look for runs that the tables give to this worker and it does not hold.
    fn reconcile_soon(&self) {
        self.must_reconcile.store(true, Ordering::Relaxed);
        self.wake.notify_one();
    }
}
