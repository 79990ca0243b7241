// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! DBOS Transact for Rust: workflows that this process starts and runs itself, `step` for each step.
//! A queue would add its own transactions and is not needed by one process.

use ::dbos::{Config, DBOS, EngineOnly, WorkflowRef};
use futures_util::{StreamExt, TryStreamExt, stream};

use crate::contender::{Contender, Evidence, Facts, Outcome, STEPS, Settings, Steps, Work};
use crate::steps;

pub(crate) struct Dbos {
    _instance: DBOS,
    ten: WorkflowRef<u64, u64, EngineOnly>,
    at_once: usize,
}

async fn ten(number: u64) -> ::dbos::Result<u64> {
    for _ in 0..STEPS {
        ::dbos::step("rest", || async {
            steps::nothing();
            ::dbos::Result::Ok(())
        })
        .await?;
    }
    Ok(number)
}

fn config(url: &str) -> Config {
    Config {
        app_version: Some("1".to_owned()),
        ..Config::new("rivals", url)
    }
}

impl Contender for Dbos {
    const FACTS: Facts = Facts {
        name: "dbos",
        packages: &["dbos"],
        steps: Steps::Durable,
        durable: "a row with the step's output, after a transaction that looks for it",
        settings: Settings {
            connections: 20,
            at_once: 32,
        },
        open: "SELECT count(*) FROM dbos.workflow_status WHERE status <> 'SUCCESS'",
        evidence: Evidence::Kept {
            sql: "SELECT (SELECT count(*) FROM dbos.workflow_status WHERE status = 'SUCCESS'), \
                  (SELECT count(*) FROM dbos.operation_outputs)",
            steps_a_run: STEPS,
        },
    };

    async fn lay(url: &str) -> Outcome<()> {
        let instance = DBOS::new(config(url));
        instance.launch().await?;
        instance.shutdown().await;
        Ok(())
    }

    async fn launch(url: &str, _: Work, settings: Settings) -> Outcome<Self> {
        let instance = DBOS::new(Config {
            max_connections: settings.connections,
            migrate: false,
            ..config(url)
        });
        let ten = instance.register_workflow("ten", ten)?;
        instance.launch().await?;
        Ok(Self {
            _instance: instance,
            ten,
            at_once: settings.at_once,
        })
    }

    async fn many(&self, runs: u64) -> Outcome<()> {
        stream::iter(0..runs)
            .map(|number| async move { self.ten.run(number).await.map(drop) })
            .buffer_unordered(self.at_once)
            .try_collect::<()>()
            .await?;
        Ok(())
    }

    async fn one(&self, number: u64) -> Outcome<()> {
        self.ten.run(number).await?;
        Ok(())
    }
}
