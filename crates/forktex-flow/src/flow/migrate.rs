// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! Moves runs that wait to another version of their workflow, one transaction each.

mod versions;

use std::fmt;
use std::future::IntoFuture;
use std::slice;
use std::sync::Arc;
use std::time::Duration;

use forktex_db::DbError;
use futures_util::future::BoxFuture;
use serde_json::Value;
use tokio::time::MissedTickBehavior;

use super::Flow;
use crate::error::MigrationError;
use crate::identifier::{InstanceId, NodeName, Version};
use crate::instance::journal::last_move;
use crate::instance::migration::{
    MigrationFate, MigrationOutcome, MigrationPreview, MigrationRefusal, PREVIEW_BYTES_MAX,
    PREVIEW_RUNS_DEFAULT, PreviewedRun,
};
use crate::query::{PAGE_RUNS_MAX, RATE_DEFAULT, RATE_MAX};
use crate::state::payload;
use crate::store::StoredInstance;
use crate::store::migration::{Moved, RunMove, RunsOf};
use crate::transition::ending;
use versions::Versions;

/// How often a run is looked at again that changed while it was looked at.
const LOOKS_MAX: u32 = 3;

type MapState = dyn Fn(Value) -> Result<Value, String> + Send + Sync;

impl Flow {
    /// Moves the runs of a workflow that wait, of version `from`, to version `to`. Await the builder, or
    /// ask it first what would become of each run. This process must have both versions.
    ///
    /// A run waits while no worker has it: for a signal, a time, a child, another attempt or a worker.
    /// One that a worker has is left alone and told of. Where a run goes on is its node, its visit and
    /// its state: it stands on the node of the same name, or on the one that it is mapped to, with what
    /// that visit recorded so far: its failed attempts, the answers of its durable calls, its
    /// [`idempotency_key`](crate::Ctx::idempotency_key). What led there need not be in the other version.
    /// Conditions and routers that have answered are not asked again. What was undoable when it was done
    /// stays so, and nothing else becomes it.
    ///
    /// Each run moves in a transaction of its own, of four statements, and is then claimed by a worker
    /// that has the new version, which finds out what it waits for by that. So a crash leaves each run
    /// what it was or moved whole, and calling again goes on. A [`Run`](crate::Run) with the old type of
    /// the state cannot read a run that moved to another type: take one from
    /// [`handle`](Self::handle).
    ///
    /// # Examples
    /// ```no_run
    /// use forktex_flow::prelude::*;
    /// use forktex_flow::migration::MigrationFate;
    ///
    /// # async fn example(flow: Flow) -> Result<(), FlowError> {
    /// let migration = flow
    ///     .migrate("user.onboarding", 1, 2)
    ///     .map_node("email_pending", "mail_pending")
    ///     .map_state(|mut state| {
    ///         state["email"] = json!({"address": state["email"]});
    ///         Ok::<_, &str>(state)
    ///     });
    /// for run in migration.clone().dry_run().await?.runs {
    ///     if let MigrationFate::Refused(reason) = run.fate {
    ///         println!("{} would stay: {reason}", run.instance_id);
    ///     }
    /// }
    /// let outcome = migration.rate(50).await?;
    /// println!("{} moved, {} left as they run", outcome.moved, outcome.owned);
    /// # Ok(())
    /// # }
    /// ```
    pub fn migrate(
        &self,
        workflow: impl Into<String>,
        from: Version,
        to: Version,
    ) -> MigrateBuilder {
        MigrateBuilder {
            flow: self.clone(),
            workflow: workflow.into(),
            namespace: None,
            from,
            to,
            nodes: Vec::new(),
            map_state: None,
            rate: RATE_DEFAULT,
            limit: None,
        }
    }
}

/// Moves runs to another version; made by [`Flow::migrate`]. Await it.
#[derive(Clone)]
#[must_use = "nothing is moved until this is awaited"]
pub struct MigrateBuilder {
    flow: Flow,
    workflow: String,
    namespace: Option<String>,
    from: Version,
    to: Version,
    nodes: Vec<(String, String)>,
    map_state: Option<Arc<MapState>>,
    rate: u32,
    limit: Option<u32>,
}

impl MigrateBuilder {
    /// Only runs of this namespace, of the workflow that is defined there if one is. By default the runs
    /// of all namespaces of the workflow that this process is linked with.
    pub fn namespace(mut self, namespace: impl Into<String>) -> Self {
        self.namespace = Some(namespace.into());
        self
    }

    /// Says that node `old` is called `new` in the other version. One that is not mapped is the node of
    /// the same name, if there is one.
    pub fn map_node(mut self, old: impl Into<String>, new: impl Into<String>) -> Self {
        self.nodes.push((old.into(), new.into()));
        self
    }

    /// Makes a state of the other version out of one of this version. Without it the state stays as it
    /// is, and must fit both; fields that the other version has not are left out.
    ///
    /// It is called once a run, and again where the run changed meanwhile: it must only compute. One
    /// that errs or panics leaves its run what it was.
    pub fn map_state<E>(
        mut self,
        map: impl Fn(Value) -> Result<Value, E> + Send + Sync + 'static,
    ) -> Self
    where
        E: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        self.map_state = Some(Arc::new(move |state| {
            map(state).map_err(|error| {
                let error: Box<dyn std::error::Error + Send + Sync> = error.into();
                error.to_string()
            })
        }));
        self
    }

    /// How many runs a second are moved, from 1 to 10,000; 100 by default.
    pub fn rate(mut self, runs_per_second: u32) -> Self {
        self.rate = runs_per_second;
        self
    }

    /// How many runs are looked at, the oldest first: all by default, and 1,000 by a dry run.
    pub fn limit(mut self, runs: u32) -> Self {
        self.limit = Some(runs);
        self
    }

    /// What would become of each run, were it moved now. Nothing is written but the two definitions,
    /// where no process has brought them before. Two statements a run.
    ///
    /// # Errors
    /// [`MigrationError`] where nothing can be moved, as the versions or a mapping are not what they
    /// should be; the database's.
    ///
    /// # Cancellation
    /// Cancel-safe.
    pub async fn dry_run(self) -> Result<MigrationPreview, MigrationError> {
        let versions = Versions::find(&self).await?;
        let limit = self.limit.unwrap_or(PREVIEW_RUNS_DEFAULT);
        let mut runs = Runs::of(&self.flow, &versions).await?;
        let (mut preview, mut bytes) = (MigrationPreview::default(), 0);
        while let Some((instance_id, is_owned)) = runs.next().await? {
            if preview.runs.len() >= limit as usize || bytes > PREVIEW_BYTES_MAX {
                return Ok(preview);
            }
            let fate = if is_owned {
                MigrationFate::Owned
            } else {
                match self.look(&versions, instance_id).await? {
                    Look::Another => continue,
                    Look::Refused(reason) => MigrationFate::Refused(reason),
                    Look::Fits(fit) => {
                        let state = fit.run.moved.state;
                        bytes += payload::size(&state);
                        MigrationFate::Moves {
                            from_nodes: fit.from_nodes,
                            to_nodes: fit.run.current_nodes,
                            state,
                        }
                    }
                }
            };
            preview.runs.push(PreviewedRun { instance_id, fate });
        }
        preview.is_whole = true;
        Ok(preview)
    }

    async fn run(self) -> Result<MigrationOutcome, MigrationError> {
        if !(1..=RATE_MAX).contains(&self.rate) {
            return Err(MigrationError::Rate {
                given: self.rate,
                max: RATE_MAX,
            });
        }
        let versions = Versions::find(&self).await?;
        let mut runs = Runs::of(&self.flow, &versions).await?;
        let mut outcome = MigrationOutcome::default();
        let mut pace = tokio::time::interval(Duration::from_secs(1) / self.rate);
        // The rate is a ceiling: what was held up is not made up for.
        pace.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut left = self.limit;
        while left != Some(0) {
            let next = match runs.next().await {
                Ok(next) => next,
                Err(error) => return Err(self.stopped(outcome, error)),
            };
            let Some((instance, is_owned)) = next else {
                break;
            };
            left = left.map(|left| left - 1);
            if is_owned {
                outcome.leave_owned(instance);
                continue;
            }
            pace.tick().await;
            match self.move_run(&versions, instance, &mut outcome).await {
                Ok(true) => {}
                Ok(false) => {
                    return Err(MigrationError::DefinitionGone {
                        workflow: self.workflow,
                        version: self.to,
                        outcome: Box::new(outcome),
                    });
                }
                Err(error) => return Err(self.stopped(outcome, error)),
            }
        }
        tracing::info!(
            workflow = self.workflow,
            from = self.from,
            to = self.to,
            moved = outcome.moved,
            owned = outcome.owned,
            refused = outcome.refused,
            "moved runs to another version"
        );
        Ok(outcome)
    }

    fn stopped(self, outcome: MigrationOutcome, error: DbError) -> MigrationError {
        MigrationError::Stopped {
            workflow: self.workflow,
            outcome: Box::new(outcome),
            error,
        }
    }

    /// Moves a run, if it waits and fits. Returns whether there is still a version to move to.
    async fn move_run(
        &self,
        versions: &Versions,
        instance: InstanceId,
        outcome: &mut MigrationOutcome,
    ) -> Result<bool, DbError> {
        let store = &self.flow.0.store;
        for _ in 0..LOOKS_MAX {
            let fit = match self.look(versions, instance).await? {
                Look::Fits(fit) => fit,
                Look::Another => {
                    outcome.passed_over += 1;
                    return Ok(true);
                }
                Look::Refused(reason) => {
                    outcome.refuse(instance, reason);
                    return Ok(true);
                }
            };
            match store.migrate(&fit.run).await? {
                Moved::Written => {
                    outcome.moved += 1;
                    (self.flow.0.access.ready_notice)();
                    return Ok(true);
                }
                Moved::Owned => {
                    outcome.leave_owned(instance);
                    return Ok(true);
                }
                Moved::Ended => {
                    outcome.passed_over += 1;
                    return Ok(true);
                }
                Moved::DefinitionGone => return Ok(false),
                // Somebody had it meanwhile, or it has moved: look again.
                Moved::Changed => {}
            }
        }
        // It goes on while it is looked at, so a worker has it now and then.
        outcome.leave_owned(instance);
        Ok(true)
    }

    /// Reads a run and finds where it would go on. Two statements.
    async fn look(&self, versions: &Versions, instance: InstanceId) -> Result<Look, DbError> {
        let stored = self.flow.0.store.read(instance).await?;
        // The journal is read after the run, and may tell already that it has moved or ended.
        let is_there = |stored: &StoredInstance| {
            let (last, moved) = (stored.journal.last(), last_move(&stored.journal));
            !stored.instance.status.is_terminal()
                && stored.instance.version == self.from
                && moved.is_none_or(|(_, moved)| moved.to.version == self.from)
                && last.is_none_or(|last| ending(slice::from_ref(&last.entry)).is_none())
        };
        let Some(stored) = stored.filter(is_there) else {
            return Ok(Look::Another);
        };
        let last = stored.journal.last();
        let last_sequence = last.map_or(0, |recorded| recorded.sequence);
        let map_state = self.map_state.as_deref();
        let fit = versions.fit(instance, last_sequence, stored, map_state);
        Ok(match fit {
            Ok(fit) => Look::Fits(Box::new(fit)),
            Err(reason) => Look::Refused(reason),
        })
    }
}

/// What a run was found to be.
enum Look {
    /// It can move so.
    Fits(Box<Fit>),
    Refused(MigrationRefusal),
    /// It has ended, or is of another version.
    Another,
}

/// How a run would move.
struct Fit {
    run: RunMove,
    from_nodes: Vec<NodeName>,
}

/// The runs of a version that lived when this began, in pages.
struct Runs {
    flow: Flow,
    request: RunsOf,
    page: std::vec::IntoIter<(InstanceId, bool)>,
    is_last: bool,
}

impl Runs {
    async fn of(flow: &Flow, versions: &Versions) -> Result<Self, DbError> {
        Ok(Self {
            flow: flow.clone(),
            request: RunsOf {
                definition: versions.source(),
                namespace: versions.namespace.clone(),
                until: flow.0.store.now().await?,
                after: None,
                limit: PAGE_RUNS_MAX,
            },
            page: Vec::new().into_iter(),
            is_last: false,
        })
    }

    /// The next run, and whether a worker has it.
    async fn next(&mut self) -> Result<Option<(InstanceId, bool)>, DbError> {
        if let Some(run) = self.page.next() {
            return Ok(Some(run));
        }
        if self.is_last {
            return Ok(None);
        }
        let page = self.flow.0.store.runs_of(&self.request).await?;
        self.is_last = page.len() < PAGE_RUNS_MAX as usize;
        self.request.after = page.last().map(|(instance, _)| *instance);
        self.page = page.into_iter();
        Ok(self.page.next())
    }
}

impl IntoFuture for MigrateBuilder {
    type Output = Result<MigrationOutcome, MigrationError>;
    type IntoFuture = BoxFuture<'static, Self::Output>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.run())
    }
}

impl fmt::Debug for MigrateBuilder {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("MigrateBuilder")
            .field("workflow", &self.workflow)
            .field("namespace", &self.namespace)
            .field("from", &self.from)
            .field("to", &self.to)
            .field("nodes", &self.nodes)
            .finish_non_exhaustive()
    }
}
