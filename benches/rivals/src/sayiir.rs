// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! Sayiir: its checkpointing runner, which keeps a run in this process and so has no claims to write,
//! on its Postgres backend.

use std::sync::Arc;

use futures_util::{StreamExt, TryStreamExt, stream};
use sayiir_postgres::{PoolOptions, PostgresBackend};
use sayiir_runtime::CheckpointingRunner;
use sayiir_runtime::prelude::{
    BoxError, JsonCodec, Workflow, WorkflowBuilder, WorkflowContext, WorkflowStatus,
};

use crate::contender::{Contender, Evidence, Facts, Outcome, STEPS, Settings, Steps, Work};
use crate::steps;

/// The codec of its documentation; a snapshot cannot be written by its other one.
type Codec = JsonCodec;

pub(crate) struct Sayiir {
    runner: CheckpointingRunner<PostgresBackend<Codec>>,
    ten: Workflow<Codec, u64, ()>,
    at_once: usize,
}

async fn rest(number: u64) -> Result<u64, BoxError> {
    steps::nothing();
    Ok(number)
}

async fn backend(url: &str, connections: u32) -> Outcome<PostgresBackend<Codec>> {
    let options = PoolOptions {
        max_connections: Some(connections),
        ..PoolOptions::default()
    };
    Ok(PostgresBackend::connect_with_options(url, options).await?)
}

impl Sayiir {
    async fn run(&self, number: u64) -> Outcome<()> {
        let name = format!("run-{number}");
        match self.runner.run(&self.ten, name, number).await? {
            WorkflowStatus::Completed => Ok(()),
            other => Err(format!("run {number} ended as {other:?}").into()),
        }
    }
}

impl Contender for Sayiir {
    const FACTS: Facts = Facts {
        name: "sayiir",
        packages: &["sayiir-runtime", "sayiir-postgres"],
        steps: Steps::Durable,
        durable: "a snapshot of the run, its row in the history, the step's output",
        settings: Settings {
            connections: 20,
            at_once: 64,
        },
        open: "SELECT count(*) FROM sayiir_workflow_snapshots WHERE status <> 'Completed'",
        evidence: Evidence::Kept {
            sql: "SELECT (SELECT count(*) FROM sayiir_workflow_snapshots WHERE status = 'Completed'), \
                  (SELECT count(*) FROM sayiir_workflow_tasks)",
            steps_a_run: STEPS,
        },
    };

    async fn lay(url: &str) -> Outcome<()> {
        backend(url, 2).await.map(drop)
    }

    async fn launch(url: &str, _: Work, settings: Settings) -> Outcome<Self> {
        let context = WorkflowContext::new("ten", Arc::new(JsonCodec), Arc::new(()));
        let ten = WorkflowBuilder::new(context)
            .then("step_1", rest)
            .then("step_2", rest)
            .then("step_3", rest)
            .then("step_4", rest)
            .then("step_5", rest)
            .then("step_6", rest)
            .then("step_7", rest)
            .then("step_8", rest)
            .then("step_9", rest)
            .then("step_10", rest)
            .build()?;
        Ok(Self {
            runner: CheckpointingRunner::new(backend(url, settings.connections).await?),
            ten,
            at_once: settings.at_once,
        })
    }

    async fn many(&self, runs: u64) -> Outcome<()> {
        stream::iter(0..runs)
            .map(|number| self.run(number))
            .buffer_unordered(self.at_once)
            .try_collect::<()>()
            .await
    }

    async fn one(&self, number: u64) -> Outcome<()> {
        self.run(number).await
    }
}
