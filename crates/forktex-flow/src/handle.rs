// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! A handle to one run: read it, wait for it, send it signals, cancel it.

mod control;
mod send;
mod stream;
mod wait;

use std::collections::HashMap;
use std::fmt;
use std::future::IntoFuture;
use std::marker::{self, PhantomData};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use futures_util::future::BoxFuture;
use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio::sync::{Notify, oneshot};

pub use control::ForkBuilder;
pub use send::{Send, Sent};
pub use stream::EventStream;
pub use wait::Wait;

pub use crate::clock::GRACE_PERIOD_DEFAULT;
use crate::error::{CancelError, ReadError};
use crate::identifier::{InstanceId, NodeName};
use crate::instance::journal::{Entry, Recorded, fold_state, last_move, node_records};
use crate::instance::{Instance, InstanceStatus, NodeStatus};
use crate::registry::Registry;
use crate::signal::Signal;
use crate::state::StateError;
use crate::state::payload::{self, PayloadError};
use crate::store::control::Paused;
use crate::store::{Cancelled, Store, StoredInstance};
use crate::transition::Snapshot;

/// How often a run that is waited for is looked up when no notification comes.
pub(crate) const WAIT_POLL: Duration = Duration::from_secs(1);

/// The most bytes of a reason for cancelling that are kept.
const REASON_BYTES_MAX: usize = 8 * 1024;

/// What handles share with their flow.
pub(crate) struct Access {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) registry: Arc<Registry>,
    /// Whether inputs are sealed, so that nothing is found by what is in them.
    pub(crate) seals_payloads: bool,
    pub(crate) endings: Endings,
    /// Tells the worker of this process, and those of others, that a cancellation was asked for.
    pub(crate) cancel_notice: Box<dyn Fn(InstanceId) + marker::Send + Sync>,
    /// Tells them that runs may be ready.
    pub(crate) ready_notice: Box<dyn Fn() + marker::Send + Sync>,
    /// Tells them that a message has come.
    pub(crate) message_notice: Box<dyn Fn() + marker::Send + Sync>,
}

/// One run, with the type of its state: `serde_json::Value` where it was named at run time.
///
/// Cheap to clone. Dropping it does nothing to the run.
pub struct Run<S = Value> {
    instance_id: InstanceId,
    access: Arc<Access>,
    state: PhantomData<fn() -> S>,
}

impl<S> Run<S> {
    pub(crate) fn new(instance_id: InstanceId, access: Arc<Access>) -> Self {
        Self {
            instance_id,
            access,
            state: PhantomData,
        }
    }

    /// The run's identifier.
    pub fn id(&self) -> InstanceId {
        self.instance_id
    }

    /// Sends a signal to the run.
    ///
    /// It is kept until the run waits for it, however early it comes; signals of one name are taken in
    /// the order of sending, each once. One statement.
    ///
    /// # Examples
    /// ```no_run
    /// # use forktex_flow::prelude::*;
    /// # use serde::{Deserialize, Serialize};
    /// # #[derive(Signal, Serialize, Deserialize)]
    /// # #[signal("email.verified")]
    /// # struct EmailVerified { email: String }
    /// # async fn example(run: Run) -> Result<(), FlowError> {
    /// run.send(EmailVerified { email: "a@example.org".into() })
    ///     .idempotency_key("mail-1")
    ///     .await?;
    /// # Ok(())
    /// # }
    /// ```
    #[expect(
        clippy::needless_pass_by_value,
        reason = "a message is given away when it is sent"
    )]
    pub fn send<G: Signal>(&self, signal: G) -> Send<'static> {
        self.send_json(G::NAME.to_owned(), payload::to_value(&signal))
    }

    /// As [`send`](Self::send), for a signal that is known by its name.
    pub fn send_named(&self, name: impl Into<String>, payload: Value) -> Send<'static> {
        self.send_json(name.into(), Ok(payload))
    }

    fn send_json(&self, name: String, payload: Result<Value, PayloadError>) -> Send<'static> {
        Send::new(self.instance_id, Arc::clone(&self.access), name, payload)
    }

    /// Asks for the run's end.
    ///
    /// A run that no worker holds ends at once. Otherwise its steps are told through
    /// [`Ctx::cancelled`](crate::Ctx::cancelled), what they return within the grace period is kept, and
    /// the run ends as cancelled with its next checkpoint, when the grace period is over, or when its worker
    /// is lost. Asking again keeps the first reason and the earlier deadline.
    ///
    /// One transaction of two to three statements.
    pub fn cancel(&self, reason: impl Into<String>) -> Cancel {
        Cancel {
            instance: self.instance_id,
            access: Arc::clone(&self.access),
            reason: reason.into(),
            grace: GRACE_PERIOD_DEFAULT,
            compensates: false,
        }
    }
}

impl<S: DeserializeOwned + marker::Send + 'static> Run<S> {
    /// Reads the run as it is now. Two statements.
    ///
    /// # Errors
    /// [`ReadError`] when it is gone, its state does not decode as `S`, or the database fails.
    ///
    /// # Cancellation
    /// Cancel-safe.
    pub async fn refresh(&self) -> Result<Instance<S>, ReadError> {
        let instance = read(&self.access, self.instance_id).await?;
        typed(instance)
    }

    /// Waits until the run has ended, however it ends.
    ///
    /// Costs no statement while it waits but a look once a second, one for all that wait in this
    /// process. A database that is away is waited for as well, for about half a minute.
    pub fn wait(&self) -> Wait<S> {
        Wait::new(self.clone())
    }
}

impl<S> Clone for Run<S> {
    fn clone(&self) -> Self {
        Self::new(self.instance_id, Arc::clone(&self.access))
    }
}

impl<S> fmt::Debug for Run<S> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Run({})", self.instance_id)
    }
}

/// Asks for the end of a run; made by [`Run::cancel`]. Await it.
#[must_use = "nothing is cancelled until this is awaited"]
pub struct Cancel {
    instance: InstanceId,
    access: Arc<Access>,
    reason: String,
    grace: Duration,
    compensates: bool,
}

impl Cancel {
    /// How long a running step may take to end; 30 s by default.
    pub fn grace_period(mut self, grace: Duration) -> Self {
        self.grace = grace;
        self
    }

    /// Undoes what the run did before it ends: the undo steps of its completed nodes run in reverse
    /// order, and meanwhile it is running. A step that is running is told through
    /// [`Ctx::cancelled`](crate::Ctx::cancelled) and may take the time that it needs: the grace period
    /// does not apply.
    pub fn compensate(mut self) -> Self {
        self.compensates = true;
        self
    }

    async fn undo(&self) -> Result<(), CancelError> {
        let instance = self.instance;
        let reason = storable(&self.reason);
        match self.access.store.request_undo(instance, &reason).await {
            Ok(Paused::Done) => {
                (self.access.cancel_notice)(instance);
                (self.access.ready_notice)();
                Ok(())
            }
            Ok(Paused::AlreadyTerminal(status)) => {
                Err(CancelError::AlreadyTerminal { instance, status })
            }
            Ok(Paused::NotFound) => Err(CancelError::NotFound { instance }),
            Err(error) => Err(CancelError::Database { instance, error }),
        }
    }
}

impl IntoFuture for Cancel {
    type Output = Result<(), CancelError>;
    type IntoFuture = BoxFuture<'static, Self::Output>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(async move {
            if self.compensates {
                return self.undo().await;
            }
            let instance = self.instance;
            let reason = storable(&self.reason);
            match self
                .access
                .store
                .cancel(instance, &reason, self.grace)
                .await
            {
                Ok(Cancelled::AtOnce) => {
                    self.access.endings.announce(instance);
                    Ok(())
                }
                Ok(Cancelled::Requested) => {
                    (self.access.cancel_notice)(instance);
                    Ok(())
                }
                Ok(Cancelled::AlreadyTerminal(status)) => {
                    Err(CancelError::AlreadyTerminal { instance, status })
                }
                Ok(Cancelled::NotFound) => Err(CancelError::NotFound { instance }),
                Err(error) => Err(CancelError::Database { instance, error }),
            }
        })
    }
}

/// A reason without what a text column refuses, of bounded size.
fn storable(reason: &str) -> String {
    let mut text = reason.replace(['\0', payload::SEALED_TEXT_MARK], "\u{fffd}");
    if text.len() > REASON_BYTES_MAX {
        let mut end = REASON_BYTES_MAX;
        while !text.is_char_boundary(end) {
            end -= 1;
        }
        text.truncate(end);
    }
    text
}

/// Reads a run and folds its journal.
pub(crate) async fn read(access: &Access, instance: InstanceId) -> Result<Instance, ReadError> {
    let stored = access
        .store
        .read(instance)
        .await
        .map_err(|error| ReadError::Database { instance, error })?;
    completed(access, stored.ok_or(ReadError::NotFound { instance })?)
}

/// A run with what its journal tells.
pub(crate) fn completed(access: &Access, stored: StoredInstance) -> Result<Instance, ReadError> {
    let mut run = stored.instance;
    let instance = run.instance_id;
    // The journal is read after the run, and may tell already that it has moved.
    if let Some((_, moved)) = last_move(&stored.journal) {
        run.version = moved.to.version;
    }
    run.state =
        fold_state(run.input.clone(), &stored.journal).map_err(|error| ReadError::Corrupt {
            instance,
            reason: error.to_string(),
        })?;
    run.nodes = node_records(&stored.journal);
    if run.status == InstanceStatus::Running {
        run.current_nodes = current_nodes(&access.registry, &run, &stored.journal);
    }
    complete(&mut run, &stored.journal);
    Ok(run)
}

/// The nodes that run or wait. Where the workflow is not registered here, only those that wait for
/// another attempt are known.
fn current_nodes(registry: &Registry, run: &Instance, journal: &[Recorded]) -> Vec<NodeName> {
    let workflow = registry
        .find(run.workflow_name.as_str(), Some(run.version))
        .ok();
    let replayed = workflow.and_then(|workflow| {
        let (snapshot, _) = Snapshot::replay(&workflow.plan, journal)?;
        Some(snapshot.current_nodes(&workflow.plan))
    });
    replayed.unwrap_or_else(|| {
        let retrying = run
            .nodes
            .iter()
            .filter(|record| record.status == NodeStatus::Retrying);
        retrying.map(|record| record.name.clone()).collect()
    })
}

/// A node that was retrying when the run ended is not any more.
fn complete(run: &mut Instance, journal: &[Recorded]) {
    let has_ended = journal.iter().any(|recorded| {
        matches!(
            recorded.entry,
            Entry::RunCompleted | Entry::RunFailed { .. } | Entry::RunCancelled { .. }
        )
    });
    if has_ended {
        for record in &mut run.nodes {
            if record.status == NodeStatus::Retrying {
                record.status = NodeStatus::Failed;
            }
        }
    }
}

pub(crate) fn typed<S: DeserializeOwned>(instance: Instance) -> Result<Instance<S>, ReadError> {
    let id = instance.instance_id;
    instance
        .try_map_state(|state| serde_json::from_value(state))
        .map_err(|error: serde_json::Error| ReadError::State {
            instance: id,
            error: StateError::Decode {
                field: "state".to_owned(),
                reason: error.to_string(),
            },
        })
}

/// Who waits for the end of which run in this process, and who follows which.
pub(crate) struct Endings {
    /// Woken when something was recorded of the run.
    following: Mutex<HashMap<InstanceId, Weak<Notify>>>,
    /// `None` once the flow is closed.
    waiting: Mutex<Option<Waiting>>,
    someone_waits: Notify,
}

type Waiting = HashMap<InstanceId, Vec<oneshot::Sender<()>>>;

impl Endings {
    pub(crate) fn new() -> Self {
        Self {
            following: Mutex::default(),
            waiting: Mutex::new(Some(HashMap::new())),
            someone_waits: Notify::new(),
        }
    }

    /// Nobody will tell any more: those who wait are to look by themselves.
    pub(crate) fn close(&self) {
        self.waiting().take();
    }

    /// Resolves when the run may have ended; errs when nobody will tell any more.
    fn listen(&self, instance: InstanceId) -> oneshot::Receiver<()> {
        let (sender, receiver) = oneshot::channel();
        if let Some(waiting) = &mut *self.waiting() {
            waiting.entry(instance).or_default().push(sender);
        }
        self.someone_waits.notify_one();
        receiver
    }

    /// Resolves when something may have been recorded of the run.
    fn progress(&self, instance: InstanceId) -> impl Future<Output = ()> + marker::Send + use<> {
        let mut following = self
            .following
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        following.retain(|_, notify| notify.strong_count() > 0);
        let known = following.get(&instance).and_then(Weak::upgrade);
        let notify = known.unwrap_or_default();
        following.insert(instance, Arc::downgrade(&notify));
        let mut told = Box::pin(notify.notified_owned());
        told.as_mut().enable();
        told
    }

    /// Wakes those who follow the run.
    pub(crate) fn announce_progress(&self, instance: InstanceId) {
        let following = self
            .following
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if let Some(notify) = following.get(&instance).and_then(Weak::upgrade) {
            notify.notify_waiters();
        }
    }

    /// Wakes those who wait for the run, and those who follow it.
    pub(crate) fn announce(&self, instance: InstanceId) {
        self.announce_progress(instance);
        let waiting = self
            .waiting()
            .as_mut()
            .and_then(|waiting| waiting.remove(&instance));
        for sender in waiting.into_iter().flatten() {
            let _ = sender.send(());
        }
    }

    /// Looks up the runs that are waited for, once a second while there are any: notifications may be
    /// lost, the table is the truth.
    pub(crate) async fn poll(&self, store: &dyn Store) -> ! {
        loop {
            let instances: Vec<InstanceId> = match &mut *self.waiting() {
                None => Vec::new(),
                Some(waiting) => {
                    waiting.retain(|_, senders| {
                        senders.retain(|sender| !sender.is_closed());
                        !senders.is_empty()
                    });
                    waiting.keys().copied().collect()
                }
            };
            if instances.is_empty() {
                self.someone_waits.notified().await;
                tokio::time::sleep(WAIT_POLL).await;
                continue;
            }
            match store.ended(&instances).await {
                Ok(ended) => ended
                    .into_iter()
                    .for_each(|instance| self.announce(instance)),
                Err(error) => {
                    tracing::debug!(%error, "cannot look up the runs that are waited for");
                }
            }
            tokio::time::sleep(WAIT_POLL).await;
        }
    }

    fn waiting(&self) -> std::sync::MutexGuard<'_, Option<Waiting>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
