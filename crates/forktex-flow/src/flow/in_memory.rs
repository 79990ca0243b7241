// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! Flows in memory, for the tests of a service: no database, and a clock that leaps.

use std::fmt;
use std::ops::Deref;
use std::sync::Arc;
use std::time::Duration;

use time::OffsetDateTime;
use time::macros::datetime;

use super::{Flow, FlowBuilder};
use crate::definition::Workflow;
use crate::definition::retention::Retention;
use crate::error::BuildError;
#[cfg(feature = "simulation")]
use crate::identifier::InstanceId;
use crate::store::memory::MemoryStore;
use crate::store::memory::time::Await;
use crate::worker::fault::{Fault, Faults};

/// When the clock of a flow in memory begins, where nothing else is said.
const BEGINNING: OffsetDateTime = datetime!(2000-01-01 00:00 UTC);

/// A flow that keeps its runs in memory and goes by a [`VirtualClock`]; made by [`Flow::in_memory`]. It
/// is a [`Flow`] in all else: what takes a `&Flow` takes this.
///
/// # What is the same, and what is not
/// Workflows, steps, signals, timers, retries, schedules, children, queries and runtime definitions are
/// run by the same code as on Postgres; only the tables are others. Transactions
/// ([`Ctx::transaction`](crate::Ctx::transaction), `in_transaction`) need a database and are refused with
/// an error. What a step's body does takes real time, and so do its `timeout`, its `heartbeat` and the
/// grace period of a cancellation. The clock stands still while a body runs, but for one that has come
/// to nothing for a second of real time: then it goes on with the real one, so that a body that hangs
/// meets the deadline of its run.
///
/// # The clock
/// It goes on by itself while something is awaited: [`Run::wait`](crate::Run::wait), the next event of
/// a stream, or [`VirtualClock::advance`]. It leaps to the next thing that is due (a sleep, a timer, a
/// retry, a deadline, a tick) when no worker has anything to do, however far that is. While nothing is
/// awaited it stands still, so that a test may look at a run that waits, and send it a signal, for as
/// long as it likes. Each run that is accepted moves it on by a microsecond, so that no two are of the
/// same age.
///
/// # Examples
/// ```standalone_crate
/// use forktex_flow::prelude::*;
/// use serde::{Deserialize, Serialize};
/// use std::time::Duration;
///
/// #[derive(State, Debug, Clone, Default, Serialize, Deserialize)]
/// struct Trial {
///     reminded: bool,
/// }
///
/// #[step]
/// async fn remind(ctx: &Ctx, _trial: &Trial) -> StepResult<TrialUpdate> {
///     ctx.sleep(Duration::from_hours(13 * 24)).await?;
///     Ok(Trial::update().reminded(true))
/// }
///
/// #[pipeline(name = "user.trial", version = 1, state = Trial, steps = [remind])]
/// struct TrialPeriod;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let flow = Flow::in_memory().build().await?;
/// flow.start_driver().await?;
/// let began_at = flow.clock().now();
///
/// let run = flow.start(TrialPeriod, Trial::default()).await?;
/// let done = run.wait().await?;
///
/// assert!(done.state.reminded);
/// assert_eq!(done.path(), ["remind"]);
/// assert_eq!((flow.clock().now() - began_at).whole_days(), 13);
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct InMemoryFlow {
    flow: Flow,
    store: MemoryStore,
    faults: Arc<Faults>,
}

impl Deref for InMemoryFlow {
    type Target = Flow;

    fn deref(&self) -> &Flow {
        &self.flow
    }
}

impl InMemoryFlow {
    /// The clock that all its waits go by.
    pub fn clock(&self) -> VirtualClock {
        VirtualClock(self.store.clone())
    }

    /// Has something go wrong when a node is next attempted.
    ///
    /// # Examples
    /// ```standalone_crate
    /// # use forktex_flow::prelude::*;
    /// # use serde::{Deserialize, Serialize};
    /// use forktex_flow::Fault;
    /// # #[derive(State, Debug, Clone, Default, Serialize, Deserialize)]
    /// # struct Order { charged: bool }
    /// # #[step]
    /// # async fn charge(_ctx: &Ctx, _order: &Order) -> StepResult<OrderUpdate> {
    /// #     Ok(Order::update().charged(true))
    /// # }
    /// # #[pipeline(name = "shop.order", version = 1, state = Order, steps = [charge])]
    /// # struct PlaceOrder;
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    ///
    /// let flow = Flow::in_memory().build().await?;
    /// flow.start_driver().await?;
    /// flow.inject(Fault::fails("charge", "the bank is away").times(2));
    /// flow.inject(Fault::crashes_after("charge").attempt(3));
    ///
    /// let done = flow.start(PlaceOrder, Order::default()).await?.wait().await?;
    ///
    /// assert!(done.state.charged);
    /// assert_eq!(done.nodes[0].attempt, 3);
    /// # Ok(())
    /// # }
    /// ```
    pub fn inject(&self, fault: Fault) {
        self.faults.add(fault);
    }

    /// Ends the driver as `kill -9` ends a process: bodies are dropped where they are, nothing is handed
    /// back, and what was held is taken up by another driver on the same tables, this flow's next one
    /// included. Does nothing where no driver runs.
    ///
    /// # Cancellation
    /// A future that is dropped may not have ended the driver.
    pub async fn crash(&self) {
        let lost = self.flow.drop_driver().await;
        if let Some(worker) = lost {
            self.store.lose(worker);
        }
    }
}

#[cfg(feature = "simulation")]
#[doc(hidden)]
impl InMemoryFlow {
    /// All that its tables know of the runs, in the order of their identifiers.
    pub fn records(&self) -> Vec<crate::simulation::RunRecord> {
        self.store.records()
    }

    /// All that its tables know of one run.
    pub fn record(&self, run: InstanceId) -> Option<crate::simulation::RunRecord> {
        self.store.record(run)
    }
}

impl fmt::Debug for InMemoryFlow {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("InMemoryFlow")
            .field("now", &self.store.clock())
            .finish_non_exhaustive()
    }
}

/// The clock of a flow in memory; made by [`InMemoryFlow::clock`]. Clones show the same time.
#[derive(Debug, Clone)]
pub struct VirtualClock(MemoryStore);

impl VirtualClock {
    /// The time that it shows.
    pub fn now(&self) -> OffsetDateTime {
        self.0.clock()
    }

    /// Lets so much time pass: all that is due on the way is done in its order, each at its time, and
    /// what is due at the end as well. Resolves when no worker has anything to do any more; a step that
    /// hangs is waited for.
    ///
    /// # Examples
    /// ```standalone_crate
    /// # use forktex_flow::prelude::*;
    /// # use serde::{Deserialize, Serialize};
    /// # use std::time::Duration;
    /// #[derive(State, Debug, Clone, Default, Serialize, Deserialize)]
    /// struct Backup {}
    ///
    /// #[scheduled(name = "backup.create", version = 1, cron = "0 2 * * *", timezone = "UTC")]
    /// async fn backup_create(_ctx: &Ctx, _backup: &Backup) -> StepResult<BackupUpdate> {
    ///     Ok(Backup::update())
    /// }
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let flow = Flow::in_memory().build().await?;
    /// flow.start_driver().await?;
    /// flow.clock().advance(Duration::from_hours(365 * 24)).await;
    /// assert_eq!(flow.query().workflow("backup.create").count().await?, 365);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Cancellation
    /// A future that is dropped leaves the clock where it is.
    pub async fn advance(&self, by: Duration) {
        self.advance_to(self.now() + by).await;
    }

    /// As [`advance`](Self::advance), to a time; one that is past lets no time pass.
    pub async fn advance_to(&self, at: OffsetDateTime) {
        let _awaiting = self.0.awaiting(Await {
            run: None,
            after_sequence: None,
            until: Some(at),
        });
        self.0.until(Some(at)).await;
        self.0.until_idle().await;
    }

    /// Resolves when no worker has anything to do: what was started or sent has come as far as it can
    /// without time going on.
    ///
    /// # Cancellation
    /// Cancel-safe.
    pub async fn settle(&self) {
        self.0.until_idle().await;
    }
}

/// Builds an [`InMemoryFlow`]; made by [`Flow::in_memory`].
#[must_use = "nothing is built until `build` is awaited"]
pub struct InMemoryBuilder {
    builder: FlowBuilder,
    store: Option<MemoryStore>,
    begins_at: OffsetDateTime,
    #[cfg(feature = "simulation")]
    line: Option<Arc<dyn crate::simulation::Line>>,
    #[cfg(feature = "planted-faults")]
    planted: Option<crate::planted::PlantedFault>,
}

impl InMemoryBuilder {
    pub(super) fn new() -> Self {
        Self {
            // What it says of a database is never looked at.
            builder: FlowBuilder::new(String::new().into()),
            store: None,
            begins_at: BEGINNING,
            #[cfg(feature = "simulation")]
            line: None,
            #[cfg(feature = "planted-faults")]
            planted: None,
        }
    }

    /// When its clock begins; at the start of the year 2000, in UTC, by default.
    pub fn starting_at(mut self, at: OffsetDateTime) -> Self {
        self.begins_at = at;
        self
    }

    /// On the tables and the clock of another one, as a second process on the same database.
    pub fn beside(mut self, other: &InMemoryFlow) -> Self {
        self.store = Some(other.store.clone());
        self
    }

    /// As [`FlowBuilder::resource`].
    pub fn resource<T: Send + Sync + 'static>(self, value: T) -> Self {
        self.shared_resource(Arc::new(value))
    }

    /// As [`FlowBuilder::shared_resource`].
    pub fn shared_resource<T: ?Sized + Send + Sync + 'static>(self, value: Arc<T>) -> Self {
        self.with(|builder| builder.shared_resource(value))
    }

    /// As [`FlowBuilder::register`].
    pub fn register<W: Workflow>(self) -> Self {
        self.with(FlowBuilder::register::<W>)
    }

    /// As [`FlowBuilder::slots`].
    pub fn slots(self, slots: u32) -> Self {
        self.with(|builder| builder.slots(slots))
    }

    /// As [`FlowBuilder::drain_timeout`].
    pub fn drain_timeout(self, timeout: Duration) -> Self {
        self.with(|builder| builder.drain_timeout(timeout))
    }

    /// As [`FlowBuilder::lease`]; without a [line](Self::on_line) a lease does not run out.
    #[cfg(feature = "simulation")]
    #[doc(hidden)]
    pub fn lease(self, lease: Duration) -> Self {
        self.with(|builder| builder.lease(lease))
    }

    /// At the end of a line to its tables. Its time is that of the runtime, and leases run out by it.
    #[cfg(feature = "simulation")]
    #[doc(hidden)]
    pub fn on_line(mut self, line: Arc<dyn crate::simulation::Line>) -> Self {
        self.line = Some(line);
        self
    }

    /// With tables that are wrong in a way.
    #[cfg(feature = "planted-faults")]
    #[doc(hidden)]
    pub fn planted(mut self, fault: crate::planted::PlantedFault) -> Self {
        self.planted = Some(fault);
        self
    }

    /// As [`FlowBuilder::retention`]; what it says is done by [`Flow::prune`] alone.
    pub fn retention(self, retention: Retention) -> Self {
        self.with(|builder| builder.retention(retention))
    }

    /// Where its runs are kept.
    fn place(&self) -> MemoryStore {
        if let Some(store) = &self.store {
            return store.clone();
        }
        #[cfg(feature = "simulation")]
        if self.line.is_some() {
            return MemoryStore::passing(self.begins_at, self.planted);
        }
        #[cfg(feature = "planted-faults")]
        if self.planted.is_some() {
            return MemoryStore::with_fault(self.begins_at, self.planted);
        }
        MemoryStore::at(self.begins_at)
    }

    fn with(self, set: impl FnOnce(FlowBuilder) -> FlowBuilder) -> Self {
        Self {
            builder: set(self.builder),
            ..self
        }
    }

    /// Checks every declaration, as [`FlowBuilder::build`] does.
    ///
    /// # Errors
    /// [`BuildError::Faults`] with all that is wrong with the declarations and what resources they
    /// miss; [`BuildError::Option`].
    ///
    /// # Cancellation
    /// A future that is dropped leaves nothing behind.
    // Async as the builder on a database is: one is put in the place of the other.
    #[expect(clippy::unused_async, reason = "the same call as on a database")]
    pub async fn build(self) -> Result<InMemoryFlow, BuildError> {
        let store = self.place();
        let faults = Arc::new(Faults::new(store.clone()));
        #[cfg(feature = "simulation")]
        if let Some(line) = self.line {
            let flow = self.builder.build_on_line(&store, line)?;
            return Ok(InMemoryFlow {
                flow,
                store,
                faults,
            });
        }
        let flow = self.builder.build_in_memory(&store, Arc::clone(&faults))?;
        Ok(InMemoryFlow {
            flow,
            store,
            faults,
        })
    }
}
