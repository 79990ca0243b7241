// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! The inner side of a measurement: a process that does what it is ordered to, with one engine, and
//! prints what it measured. So no engine runs beside what another left running.

use std::time::{Duration, Instant};

use forktex_db::sqlx::{self, Connection, PgConnection};
use forktex_testkit::figure::median;
use serde::{Deserialize, Serialize};

use crate::contender::{Contender, Outcome, STEPS, Settings, Work};
use crate::steps;

/// Runs that are done before those whose time is taken.
const WARM_UP: u64 = 20;

/// How many runs are done alone, at most and at least; between them the time decides.
const ALONE_MAX: u64 = 300;
const ALONE_MIN: u64 = 20;
const ALONE_TIME: Duration = Duration::from_secs(6);

/// What a process is told to do.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Order {
    /// The database.
    pub(crate) url: String,
    pub(crate) settings: Settings,
    pub(crate) task: Task,
}

/// What is to be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Task {
    /// Lay the schema.
    Lay,
    /// Do so many runs, as quick as they go.
    Many { runs: u64 },
    /// Do one run after the other.
    Alone,
}

/// What a process tells when it is done, as its last line.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) enum Report {
    Laid,
    Many {
        seconds: f64,
        /// Bodies that began, counted by themselves.
        steps: u64,
    },
    Alone {
        runs: u64,
        /// From `start` to the first step, the median.
        first_step_ms: f64,
        /// From a step to the next, the median.
        step_ms: f64,
    },
}

/// Does as ordered, and prints the report.
pub(crate) async fn obey<C: Contender>(order: Order) -> Outcome<()> {
    let Order { url, settings, .. } = &order;
    let report = match order.task {
        Task::Lay => {
            C::lay(url).await?;
            Report::Laid
        }
        Task::Many { runs } => {
            let contender = C::launch(url, Work::Many, *settings).await?;
            many(&contender, url, runs).await?
        }
        Task::Alone => {
            let contender = C::launch(url, Work::Alone, *settings).await?;
            alone(&contender, url).await?
        }
    };
    println!("{}", serde_json::to_string(&report)?);
    Ok(())
}

async fn many<C: Contender>(contender: &C, url: &str, runs: u64) -> Outcome<Report> {
    let mut watcher = PgConnection::connect(url).await?;
    let began_at = Instant::now();
    contender.many(runs).await?;
    all_over::<C>(&mut watcher).await?;
    Ok(Report::Many {
        seconds: began_at.elapsed().as_secs_f64(),
        steps: steps::begun(),
    })
}

async fn alone<C: Contender>(contender: &C, url: &str) -> Outcome<Report> {
    let mut watcher = PgConnection::connect(url).await?;
    let (mut first, mut between) = (Vec::new(), Vec::new());
    let mut runs = 0;
    let mut measured_from = Instant::now();
    steps::note();
    while runs < WARM_UP + ALONE_MIN
        || runs < WARM_UP + ALONE_MAX && measured_from.elapsed() < ALONE_TIME
    {
        if runs == WARM_UP {
            measured_from = Instant::now();
        }
        let started_at = Instant::now();
        contender.one(runs).await?;
        all_over::<C>(&mut watcher).await?;
        let begun = steps::noted();
        if u64::try_from(begun.len())? != STEPS {
            return Err(format!("run {runs} had {} steps, not {STEPS}", begun.len()).into());
        }
        if runs >= WARM_UP {
            first.extend(begun.first().map(|at| milliseconds(*at - started_at)));
            between.extend(begun.windows(2).map(|pair| milliseconds(pair[1] - pair[0])));
        }
        runs += 1;
    }
    Ok(Report::Alone {
        runs,
        first_step_ms: median(first),
        step_ms: median(between),
    })
}

fn milliseconds(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1_000.0
}

/// Asks the engine's own tables until no run is open. The parent's limit of time bounds it.
async fn all_over<C: Contender>(watcher: &mut PgConnection) -> Outcome<()> {
    loop {
        let open: i64 = sqlx::query_scalar(C::FACTS.open)
            .fetch_one(&mut *watcher)
            .await?;
        if open == 0 {
            return Ok(());
        }
    }
}
