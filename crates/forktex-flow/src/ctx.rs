// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! What a step knows of its run: [`Ctx`].
//!
//! A context is plain data, a cancellation token, and a way to the executor of the run; it holds no
//! connection, so that a step can be called from a unit test with [`Ctx::for_test`].

pub(crate) mod call;
mod children;
mod durable;
mod spawn;
mod transaction;

use std::collections::VecDeque;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use forktex_db::Db;
use serde_json::{Map, Value};
use tokio_util::sync::CancellationToken;

use call::Calls;
pub use children::{CHILDREN_MAX, Child, ChildFailure, MapCall, WaitCall};
pub use durable::{AwaitSignal, AwaitSignalWithin, Sleep};
pub use spawn::SpawnCall;

use crate::identifier::{InstanceId, Namespace, NodeName, Version, WorkflowName};

/// The run that a step belongs to and the attempt that is being made. Cheap to clone.
#[derive(Clone)]
pub struct Ctx {
    run: Arc<RunContext>,
    node: NodeName,
    /// What the node was called when the run came to it, where that is another name.
    called: Option<NodeName>,
    visit: u32,
    attempt: u32,
    /// Whether the body undoes the visit.
    undoes: bool,
    cancelled: CancellationToken,
    /// None in a unit test.
    calls: Option<Calls>,
    /// The signals that a unit test gave.
    test_signals: Arc<Mutex<VecDeque<(String, Value)>>>,
    /// The database that a unit test gave.
    test_database: Option<Db>,
}

/// What all the steps of one run share.
#[derive(Debug)]
pub(crate) struct RunContext {
    pub(crate) instance_id: InstanceId,
    pub(crate) workflow_name: WorkflowName,
    pub(crate) version: Version,
    pub(crate) namespace: Namespace,
    pub(crate) metadata: Map<String, Value>,
}

impl Ctx {
    pub(crate) fn new(
        run: Arc<RunContext>,
        node: NodeName,
        visit: u32,
        attempt: u32,
        undoes: bool,
        cancelled: CancellationToken,
        calls: Option<Calls>,
    ) -> Self {
        Self {
            run,
            node,
            called: None,
            visit,
            attempt,
            undoes,
            cancelled,
            calls,
            test_signals: Arc::default(),
            test_database: None,
        }
    }

    /// Says what the node was called when the run came to it.
    pub(crate) fn called(self, called: Option<NodeName>) -> Self {
        Self { called, ..self }
    }

    /// A context for a unit test: first visit, first attempt, of a new run of the workflow `test`.
    ///
    /// ```
    /// use forktex_flow::prelude::*;
    ///
    /// let ctx = Ctx::for_test();
    /// assert_eq!(ctx.attempt(), 1);
    /// assert!(!ctx.is_cancelled());
    /// ```
    pub fn for_test() -> Self {
        let run = RunContext {
            instance_id: InstanceId::generate(),
            workflow_name: WorkflowName::unchecked("test"),
            version: 1,
            namespace: Namespace::default(),
            metadata: Map::new(),
        };
        Self::new(
            Arc::new(run),
            NodeName::unchecked("test"),
            1,
            1,
            false,
            CancellationToken::new(),
            None,
        )
    }

    fn test_signals(&self) -> MutexGuard<'_, VecDeque<(String, Value)>> {
        self.test_signals
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// The run.
    pub fn instance_id(&self) -> InstanceId {
        self.run.instance_id
    }

    /// The workflow's name.
    pub fn workflow_name(&self) -> &WorkflowName {
        &self.run.workflow_name
    }

    /// The workflow's version.
    pub fn version(&self) -> Version {
        self.run.version
    }

    /// The run's namespace; empty for the platform's own.
    pub fn namespace(&self) -> &Namespace {
        &self.run.namespace
    }

    /// The node that is running.
    pub fn node(&self) -> &NodeName {
        &self.node
    }

    /// Which attempt this is, from 1.
    pub fn attempt(&self) -> u32 {
        self.attempt
    }

    /// How often the run has come to this node, from 1.
    pub fn visit(&self) -> u32 {
        self.visit
    }

    /// The metadata that the run was started with.
    pub fn metadata(&self) -> &Map<String, Value> {
        &self.run.metadata
    }

    /// A key that is the same for every attempt of this visit of this node, and for nothing else; the
    /// step that undoes the visit has one of its own.
    ///
    /// Hand it to services that take an idempotency key: a step that ran and whose process died
    /// before the checkpoint was committed runs again with the same key.
    pub fn idempotency_key(&self) -> String {
        let undo = if self.undoes { "/undo" } else { "" };
        // A visit keeps its key where the node has another name since.
        let node = self.called.as_ref().unwrap_or(&self.node);
        format!("{}/{node}/{}{undo}", self.run.instance_id, self.visit)
    }

    /// Tells that the step is still at work. A step with a `heartbeat` that does not say so for that
    /// long is given up, and the attempt failed. Costs nothing; nothing is written.
    ///
    /// ```
    /// use forktex_flow::prelude::*;
    ///
    /// async fn copy(ctx: &Ctx, parts: u32) {
    ///     for _ in 0..parts {
    ///         // Copies a part, and then:
    ///         ctx.heartbeat();
    ///     }
    /// }
    /// # tokio::runtime::Runtime::new().unwrap().block_on(copy(&Ctx::for_test(), 3));
    /// ```
    pub fn heartbeat(&self) {
        if let Some(calls) = &self.calls {
            calls.port().beat();
        }
    }

    /// Ends when the run is being cancelled, or this worker has lost it. What the step returns
    /// within the grace period is kept in the first case and refused in the second.
    ///
    /// # Cancellation
    /// Cancel-safe.
    pub async fn cancelled(&self) {
        self.cancelled.cancelled().await;
    }

    /// Whether the run is being cancelled, or this worker has lost it.
    pub fn is_cancelled(&self) -> bool {
        self.cancelled.is_cancelled()
    }
}

impl fmt::Debug for Ctx {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Ctx")
            .field("instance_id", &self.run.instance_id)
            .field("workflow_name", &self.run.workflow_name)
            .field("node", &self.node)
            .field("visit", &self.visit)
            .field("attempt", &self.attempt)
            .finish_non_exhaustive()
    }
}
