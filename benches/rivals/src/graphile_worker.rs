// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! Graphile Worker RS, a job queue: a chain of ten jobs, each of which adds the next. It is told to fetch
//! jobs in batches and to delete those done in batches, as its own benchmark does.

use std::time::Duration;

use ::graphile_worker::{
    IntoTaskHandlerResult, JobSpec, LocalQueueConfig, RawJobSpec, TaskHandler, WorkerContext,
    WorkerContextExt, WorkerOptions, WorkerUtils,
};
use serde::{Deserialize, Serialize};

use crate::contender::{Contender, Evidence, Facts, Outcome, STEPS, Settings, Steps, Work};
use crate::steps;

const SCHEMA: &str = "graphile_worker";

/// How many jobs are added in one statement.
const STARTS_IN_ONE: u64 = 1_000;

pub(crate) struct GraphileWorker {
    utils: WorkerUtils,
}

/// A link of the chain, with how many come after it.
#[derive(Serialize, Deserialize)]
struct Link {
    after: u64,
}

impl Link {
    const FIRST: Self = Self { after: STEPS - 1 };
}

impl TaskHandler for Link {
    const IDENTIFIER: &'static str = "link";

    async fn run(self, ctx: WorkerContext) -> impl IntoTaskHandlerResult {
        steps::nothing();
        if let Some(after) = self.after.checked_sub(1) {
            let next = ctx.add_job(Self { after }, JobSpec::default()).await;
            next.map_err(|error| error.to_string())?;
        }
        Ok::<(), String>(())
    }
}

impl Contender for GraphileWorker {
    const FACTS: Facts = Facts {
        name: "graphile_worker",
        packages: &["graphile_worker"],
        steps: Steps::Chained,
        durable: "the next job; the job that is done is deleted, apart from that and in batches",
        settings: Settings {
            connections: 20,
            at_once: 64,
        },
        open: "SELECT count(*) FROM graphile_worker._private_jobs",
        evidence: Evidence::NothingLeft {
            sql: "SELECT count(*) FROM graphile_worker._private_jobs",
        },
    };

    async fn lay(url: &str) -> Outcome<()> {
        let options = WorkerOptions::default().database_url(url).schema(SCHEMA);
        options.define_job::<Link>().init().await?;
        Ok(())
    }

    async fn launch(url: &str, work: Work, settings: Settings) -> Outcome<Self> {
        let options = WorkerOptions::default()
            .database_url(url)
            .max_pg_conn(settings.connections)
            .schema(SCHEMA)
            .concurrency(settings.at_once)
            .listen_os_shutdown_signals(false)
            .define_job::<Link>();
        let options = match work {
            Work::Many => options
                .local_queue(LocalQueueConfig::default().with_size(5_000))
                .complete_job_batch_delay(Duration::from_millis(5)),
            // Both trade latency for throughput.
            Work::Alone => options,
        };
        let worker = options.init().await?;
        let utils = worker.create_utils();
        tokio::spawn(async move {
            if let Err(error) = worker.run().await {
                eprintln!("graphile_worker's worker ended: {error}");
            }
        });
        Ok(Self { utils })
    }

    async fn many(&self, runs: u64) -> Outcome<()> {
        let payload = serde_json::to_value(Link::FIRST)?;
        let mut left = runs;
        while left > 0 {
            let count = left.min(STARTS_IN_ONE);
            let jobs: Vec<RawJobSpec> = (0..count)
                .map(|_| RawJobSpec {
                    identifier: Link::IDENTIFIER.to_owned(),
                    payload: payload.clone(),
                    spec: JobSpec::default(),
                })
                .collect();
            self.utils.add_raw_jobs(&jobs).await?;
            left -= count;
        }
        steps::until(runs * STEPS).await;
        Ok(())
    }

    async fn one(&self, _: u64) -> Outcome<()> {
        let begun = steps::begun();
        self.utils.add_job(Link::FIRST, JobSpec::default()).await?;
        steps::until(begun + STEPS).await;
        Ok(())
    }
}
