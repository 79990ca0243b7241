// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! Durable calls of a step: what is asked of the engine, and how a call finds its answer again.
//!
//! A call has a key, which belongs to the visit of the node. When the body runs again after a crash, a
//! retry or a wait, the call under the same key gets the answer that is recorded.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use forktex_db::{DbError, Transaction};
use futures_util::future::BoxFuture;
use serde::Serialize;
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

use crate::error::StepError;
use crate::error::failure::{StepFailure, StepFailureKind};
use crate::identifier::{InstanceId, Version, is_key};
use crate::instance::journal::Answer;
use crate::instance::outcome::Outcome;
use crate::state::delta::Delta;

/// What a durable call asks for.
#[derive(Debug)]
pub(crate) enum Ask {
    /// To have this recorded.
    Record(Answer),
    /// To be told when so much time has passed.
    Sleep(Duration),
    /// The payload of the oldest signal of that name; nothing once so much time has passed.
    Signal {
        name: String,
        timeout: Option<Duration>,
    },
    /// To have runs started.
    Spawn(Spawn),
    /// What became of runs, once all have ended, or one failed and that is enough.
    Outcomes {
        children: Vec<InstanceId>,
        fails_fast: bool,
    },
    /// To have a transaction committed with the checkpoint of the step, which ends by it.
    Commit {
        transaction: Box<Transaction>,
        delta: Delta,
    },
}

/// Runs of one workflow to be started.
#[derive(Debug, Clone)]
pub(crate) struct Spawn {
    pub(crate) workflow: String,
    /// The newest that is known where it is not given.
    pub(crate) version: Option<Version>,
    pub(crate) inputs: Vec<Value>,
    pub(crate) metadata: Map<String, Value>,
    /// How many of them may live at once.
    pub(crate) concurrency: usize,
}

/// What a durable call gets.
#[derive(Debug, Clone)]
pub(crate) enum Reply {
    /// What is recorded of it.
    Answer(Answer),
    /// What became of runs, in the order of asking.
    Outcomes(Vec<Outcome>),
}

/// How a body reaches what runs it.
pub(crate) trait Port: Send + Sync {
    /// Asks, under a key, and waits for the reply, however long it takes. The body is dropped
    /// meanwhile where the run gives up its slot.
    fn ask(&self, key: String, ask: Ask) -> BoxFuture<'_, Result<Reply, StepFailure>>;

    /// The body is still at work.
    fn beat(&self);

    /// Begins a transaction on the flow's database, where it has one, when it is this body's turn.
    fn begin(&self) -> Option<BoxFuture<'_, Result<Transaction, DbError>>>;

    /// Starts runs as a part of a transaction.
    fn spawn_in<'a>(
        &'a self,
        transaction: &'a mut Transaction,
        spawn: Spawn,
    ) -> BoxFuture<'a, Result<Vec<InstanceId>, StepFailure>>;
}

/// How a body reaches the executor of its run, and what is recorded of its calls.
#[derive(Clone)]
pub(crate) struct Calls {
    answers: Arc<BTreeMap<String, Answer>>,
    /// How often each default key was given out in this run of the body.
    counts: Arc<Mutex<HashMap<String, u32>>>,
    port: Arc<dyn Port>,
    /// Whether the body is inside a transaction, where no durable call may be made.
    in_transaction: Arc<AtomicBool>,
}

impl Calls {
    pub(crate) fn new(answers: Arc<BTreeMap<String, Answer>>, port: Arc<dyn Port>) -> Self {
        Self {
            answers,
            counts: Arc::default(),
            port,
            in_transaction: Arc::default(),
        }
    }

    pub(crate) fn port(&self) -> &dyn Port {
        &*self.port
    }

    /// Runs a block in which durable calls are errors.
    pub(crate) async fn without_calls<T>(&self, block: impl Future<Output = T>) -> T {
        self.in_transaction.store(true, Ordering::Relaxed);
        let outcome = block.await;
        self.in_transaction.store(false, Ordering::Relaxed);
        outcome
    }

    /// Whether the body is inside its transaction.
    pub(crate) fn are_in_transaction(&self) -> bool {
        self.in_transaction.load(Ordering::Relaxed)
    }

    /// What is recorded under a key.
    pub(crate) fn answer(&self, key: &str) -> Option<&Answer> {
        self.answers.get(key)
    }

    /// Asks, and waits for the reply.
    pub(crate) async fn ask(&self, key: &str, ask: Ask) -> Result<Reply, StepError> {
        if self.are_in_transaction() {
            return Err(StepError::fatal(
                "a durable call inside `ctx.transaction`: make it before the transaction",
            ));
        }
        let reply = self.port.ask(key.to_owned(), ask).await;
        reply.map_err(StepError::from_failure)
    }

    /// The key of a call that was given none: its kind, its target, a hash of its arguments, and which
    /// such call of this body it is.
    pub(crate) fn default_key(
        &self,
        kind: &str,
        target: &str,
        arguments: &impl Serialize,
    ) -> String {
        let arguments = serde_json::to_vec(arguments).unwrap_or_default();
        let hash = Sha256::digest(arguments);
        let short = u64::from_be_bytes(hash[..8].try_into().unwrap_or_default());
        let stem = format!("{kind} {target} {short:016x}");
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        let count = counts.entry(stem.clone()).or_default();
        *count += 1;
        format!("{stem} {count}")
    }
}

/// The key of a call that was given one.
///
/// # Errors
/// Fatal when it is empty, longer than 200 characters, or holds a NUL.
pub(crate) fn given_key(key: &str) -> Result<String, StepError> {
    if is_key(key) {
        // Apart from every default key.
        Ok(format!("key {key}"))
    } else {
        Err(StepError::fatal(
            "the key of a durable call must have 1 to 200 characters and no NUL",
        ))
    }
}

/// The error of a call whose recorded answer is not of the shape that it asks for.
pub(crate) fn diverged(key: &str, reason: &str) -> StepError {
    StepError::from_failure(StepFailure::new(
        StepFailureKind::Diverged,
        &format!(
            "the durable call `{key}` has another answer recorded: {reason}; give calls that changed another key"
        ),
    ))
}
