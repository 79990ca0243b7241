// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! durare: workflows that this process starts and runs itself, `ctx.step` for each step, on a pool
//! larger than the eight connections it makes by itself.

use std::sync::Arc;

use ::durare::{DurableContext, DurableEngine, Error, PostgresProvider, WorkflowOptions};
use futures_util::{StreamExt, TryStreamExt, stream};
use sqlx_of_rivals::postgres::PgPoolOptions;

use crate::contender::{Contender, Evidence, Facts, Outcome, STEPS, Settings, Steps, Work};
use crate::steps;

/// The schema that it makes where none is named.
const SCHEMA: &str = "dbos";

pub(crate) struct Durare {
    engine: DurableEngine,
    at_once: usize,
}

#[::durare::workflow]
async fn ten(ctx: DurableContext, number: u64) -> ::durare::Result<u64> {
    for _ in 0..STEPS {
        ctx.step("rest", || async {
            steps::nothing();
            Ok::<_, Error>(())
        })
        .await?;
    }
    Ok(number)
}

async fn engine(url: &str, connections: u32) -> Outcome<DurableEngine> {
    let pool = PgPoolOptions::new()
        .max_connections(connections)
        .connect(url)
        .await?;
    let provider = PostgresProvider::from_pool_with_schema(pool, SCHEMA)?;
    Ok(DurableEngine::new(Arc::new(provider)).await?)
}

impl Durare {
    async fn run(&self, number: u64) -> ::durare::Result<()> {
        let options = WorkflowOptions::default();
        let handle = self.engine.start_with(Ten, number, options).await?;
        handle.await.map(drop)
    }
}

impl Contender for Durare {
    const FACTS: Facts = Facts {
        name: "durare",
        packages: &["durare"],
        steps: Steps::Durable,
        durable: "a row with the step's output, after a transaction that looks for it",
        settings: Settings {
            connections: 32,
            at_once: 64,
        },
        open: "SELECT count(*) FROM dbos.workflow_status WHERE status <> 'SUCCESS'",
        evidence: Evidence::Kept {
            sql: "SELECT (SELECT count(*) FROM dbos.workflow_status WHERE status = 'SUCCESS'), \
                  (SELECT count(*) FROM dbos.operation_outputs)",
            steps_a_run: STEPS,
        },
    };

    async fn lay(url: &str) -> Outcome<()> {
        engine(url, 2).await.map(drop)
    }

    async fn launch(url: &str, _: Work, settings: Settings) -> Outcome<Self> {
        Ok(Self {
            engine: engine(url, settings.connections).await?,
            at_once: settings.at_once,
        })
    }

    async fn many(&self, runs: u64) -> Outcome<()> {
        stream::iter(0..runs)
            .map(|number| self.run(number))
            .buffer_unordered(self.at_once)
            .try_collect::<()>()
            .await?;
        Ok(())
    }

    async fn one(&self, number: u64) -> Outcome<()> {
        Ok(self.run(number).await?)
    }
}
