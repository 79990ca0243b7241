// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! duroxide on duroxide-pg: an orchestration that schedules ten activities one after the other.

use std::sync::Arc;
use std::time::Duration;

use ::duroxide::runtime::registry::ActivityRegistry;
use ::duroxide::runtime::{Runtime, RuntimeOptions};
use ::duroxide::{ActivityContext, Client, OrchestrationContext, OrchestrationRegistry};
use duroxide_pg::PostgresProvider;
use futures_util::{StreamExt, TryStreamExt, stream};

use crate::contender::{Contender, Evidence, Facts, Outcome, STEPS, Settings, Steps, Work};
use crate::steps;

/// How many starts are under way at the same time.
const STARTERS: usize = 16;

/// How long an idle dispatcher waits before it asks again; 100 ms where none is named.
const POLL: Duration = Duration::from_millis(5);

pub(crate) struct Duroxide {
    _runtime: Arc<Runtime>,
    client: Client,
}

async fn ten(ctx: OrchestrationContext, input: String) -> Result<String, String> {
    for _ in 0..STEPS {
        ctx.schedule_activity("rest", String::new()).await?;
    }
    Ok(input)
}

async fn rest(_: ActivityContext, input: String) -> Result<String, String> {
    steps::nothing();
    Ok(input)
}

impl Contender for Duroxide {
    const FACTS: Facts = Facts {
        name: "duroxide-pg",
        packages: &["duroxide", "duroxide-pg"],
        steps: Steps::Durable,
        durable: "two rows of history (scheduled, completed), through a queue of activities and one of orchestrations",
        settings: Settings {
            connections: 20,
            at_once: 8,
        },
        open: "SELECT count(*) FROM instances i LEFT JOIN executions e USING (instance_id) \
               WHERE e.status IS DISTINCT FROM 'Completed'",
        evidence: Evidence::Kept {
            sql: r#"SELECT (SELECT count(*) FROM executions WHERE status = 'Completed'),
                  (SELECT count(*) FROM history WHERE event_data LIKE '%"ActivityCompleted"%')"#,
            steps_a_run: STEPS,
        },
    };

    async fn lay(url: &str) -> Outcome<()> {
        PostgresProvider::new(url).await?;
        Ok(())
    }

    async fn launch(url: &str, _: Work, settings: Settings) -> Outcome<Self> {
        let store = Arc::new(PostgresProvider::new(url).await?);
        let activities = ActivityRegistry::builder().register("rest", rest).build();
        let orchestrations = OrchestrationRegistry::builder()
            .register("ten", ten)
            .build();
        let options = RuntimeOptions {
            dispatcher_min_poll_interval: POLL,
            orchestration_concurrency: settings.at_once,
            worker_concurrency: settings.at_once,
            ..RuntimeOptions::default()
        };
        let runtime =
            Runtime::start_with_options(store.clone(), activities, orchestrations, options).await;
        Ok(Self {
            _runtime: runtime,
            client: Client::new(store),
        })
    }

    async fn many(&self, runs: u64) -> Outcome<()> {
        stream::iter(0..runs)
            .map(|number| async move {
                let name = format!("run-{number}");
                self.client.start_orchestration(&name, "ten", "").await
            })
            .buffer_unordered(STARTERS)
            .try_collect::<()>()
            .await?;
        steps::until(runs * STEPS).await;
        Ok(())
    }

    async fn one(&self, number: u64) -> Outcome<()> {
        let begun = steps::begun();
        let name = format!("run-{number}");
        self.client.start_orchestration(&name, "ten", "").await?;
        steps::until(begun + STEPS).await;
        Ok(())
    }
}
