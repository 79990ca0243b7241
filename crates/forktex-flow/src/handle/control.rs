// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! Pauses and resumes a run, retries a failed one, and forks one from a node.

use std::fmt;
use std::future::IntoFuture;
use std::sync::Arc;

use futures_util::future::BoxFuture;

use super::{Access, Run};
use crate::error::{ForkError, PauseError, ReadError};
use crate::identifier::InstanceId;
use crate::instance::InstanceStatus;
use crate::store::control::{Fork, Paused};
use crate::transition::fork::{self, Beginning};

impl<S> Run<S> {
    /// Pauses the run: it is taken up by no worker until it is resumed. A step that is running goes on
    /// to its end and keeps what it did; what comes next waits. Signals are kept and times pass
    /// meanwhile. Pausing a paused run changes nothing. One statement.
    ///
    /// # Errors
    /// [`PauseError::AlreadyTerminal`], [`PauseError::NotFound`] and the database's.
    ///
    /// # Cancellation
    /// The run may be paused although the future was dropped.
    ///
    /// # Examples
    /// ```no_run
    /// # use forktex_flow::prelude::*;
    /// # async fn example(run: Run) -> Result<(), FlowError> {
    /// run.pause().await?;
    /// // Whatever had to be looked into was.
    /// run.resume().await?;
    /// # Ok(())
    /// # }
    /// ```
    pub async fn pause(&self) -> Result<(), PauseError> {
        self.set_paused(true).await
    }

    /// Lets a paused run go on. One that is not paused is not changed. One statement.
    ///
    /// # Errors
    /// As of [`pause`](Self::pause).
    ///
    /// # Cancellation
    /// The run may go on although the future was dropped.
    pub async fn resume(&self) -> Result<(), PauseError> {
        self.set_paused(false).await?;
        (self.access.ready_notice)();
        Ok(())
    }

    async fn set_paused(&self, is_paused: bool) -> Result<(), PauseError> {
        let instance = self.instance_id;
        match self.access.store.pause(instance, is_paused).await {
            Ok(Paused::Done) => Ok(()),
            Ok(Paused::AlreadyTerminal(status)) => {
                Err(PauseError::AlreadyTerminal { instance, status })
            }
            Ok(Paused::NotFound) => Err(PauseError::NotFound { instance }),
            Err(error) => Err(PauseError::Database { instance, error }),
        }
    }

    /// Starts a new run that goes on where this one failed. The failed one never changes; the new one
    /// has it in [`Instance::retry_of`](crate::Instance::retry_of), and repeats nothing that finished:
    /// the nodes that did not finish begin anew, with all their attempts. Answers that their durable
    /// calls have are kept, but runs that they spawned are spawned again. What was undone is done again.
    ///
    /// The new run is of the same version and has its own identity, so the idempotency keys of its
    /// steps are others. Where the run was moved to its version by [`Flow::migrate`](crate::Flow::migrate)
    /// and begins anew with what it did before that, the new one is of the version of then. Three
    /// statements.
    ///
    /// # Errors
    /// [`ForkError::NotFailed`] and the database's.
    ///
    /// # Cancellation
    /// The run may be started although the future was dropped.
    ///
    /// # Examples
    /// ```no_run
    /// # use forktex_flow::prelude::*;
    /// # async fn example(run: Run) -> Result<(), FlowError> {
    /// let done = run.wait().await?;
    /// if done.status == InstanceStatus::Failed {
    ///     let again = run.retry().await?;
    ///     again.wait().await?;
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub async fn retry(&self) -> Result<Run<S>, ForkError> {
        let instance = self.instance_id;
        let stored = stored(&self.access, instance).await?;
        let status = stored.instance.status;
        if status != InstanceStatus::Failed {
            return Err(ForkError::NotFailed { instance, status });
        }
        let beginning = fork::of_failed(&stored.journal);
        let id = start(&self.access, instance, "retry", beginning).await?;
        Ok(Run::new(id, Arc::clone(&self.access)))
    }

    /// Starts a new run that comes to a node of this one again, with all that was recorded before.
    /// Await the builder. This run, which may be alive or ended, does not change.
    ///
    /// The node is called what it is called in the run's version. A visit that was done before the run
    /// was moved by [`Flow::migrate`](crate::Flow::migrate) comes again in the version of then.
    pub fn fork(&self, from_node: impl Into<String>) -> ForkBuilder<S> {
        ForkBuilder {
            run: self.clone(),
            node: from_node.into(),
            visit: None,
        }
    }
}

/// Forks a run; made by [`Run::fork`]. Await it.
#[must_use = "nothing is started until this is awaited"]
pub struct ForkBuilder<S> {
    run: Run<S>,
    node: String,
    visit: Option<u32>,
}

impl<S> ForkBuilder<S> {
    /// Which visit of the node is to come again, from 1; the latest by default.
    pub fn visit(mut self, visit: u32) -> Self {
        self.visit = Some(visit);
        self
    }
}

impl<S: Send + 'static> IntoFuture for ForkBuilder<S> {
    type Output = Result<Run<S>, ForkError>;
    type IntoFuture = BoxFuture<'static, Self::Output>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(async move {
            let Self { run, node, visit } = self;
            let instance = run.instance_id;
            let stored = stored(&run.access, instance).await?;
            let beginning = fork::at_node(&stored.journal, &node, visit)
                .ok_or(ForkError::NotVisited { instance, node })?;
            let id = start(&run.access, instance, "fork", beginning).await?;
            Ok(Run::new(id, Arc::clone(&run.access)))
        })
    }
}

impl<S> fmt::Debug for ForkBuilder<S> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("ForkBuilder")
            .field("run", &self.run)
            .field("node", &self.node)
            .field("visit", &self.visit)
            .finish()
    }
}

async fn stored(
    access: &Access,
    instance: InstanceId,
) -> Result<crate::store::StoredInstance, ReadError> {
    let stored = access.store.read(instance).await;
    stored
        .map_err(|error| ReadError::Database { instance, error })?
        .ok_or(ReadError::NotFound { instance })
}

async fn start(
    access: &Access,
    source: InstanceId,
    triggered_by: &'static str,
    Beginning { sequences, pin }: Beginning,
) -> Result<InstanceId, ForkError> {
    let fork = Fork {
        source,
        instance_id: InstanceId::generate(),
        triggered_by,
        sequences,
        pin,
    };
    let started = access.store.fork(&fork).await;
    let started = started.map_err(|error| ForkError::Database {
        instance: source,
        error,
    })?;
    if !started {
        return Err(ForkError::DefinitionGone { instance: source });
    }
    (access.ready_notice)();
    Ok(fork.instance_id)
}
