// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! The show: a run whose worker is killed midway, and the proof that no finished step ran twice.
//!
//! It runs no step itself; that is for the worker processes, which are this program again.

mod deadline;
mod screen;
mod watch;
mod worker_process;

use std::time::Duration;

use forktex::db::Db;
use forktex::flow::{Instance, InstanceStatus};
use forktex_testkit::TestDatabase;

use crate::deploy::DeployState;
use crate::error::Error;
use crate::ledger;
use crate::service;
use deadline::Deadline;
use screen::Screen;
use watch::Watch;
use worker_process::WorkerProcess;

/// How long the demo may take in all.
const LIMIT: Duration = Duration::from_mins(1);

/// How much longer it may take to tell what it waited for.
const SLACK: Duration = Duration::from_secs(5);

/// The parallel checks: one is done and the other runs when the worker is killed.
const FINISHED_CHECK: &str = "verify_dns";
const UNFINISHED_CHECK: &str = "verify_ssl";

/// Plays it. When this returns, however it does, no worker and no database of it is left.
pub(crate) async fn run() -> Result<(), Error> {
    let mut screen = Screen::new();
    let play = Box::pin(play(&mut screen));
    let played = Deadline::after(LIMIT + SLACK).bound("the demo to end", play);
    tokio::select! {
        played = played => played??,
        interrupted = tokio::signal::ctrl_c() => {
            interrupted.map_err(Error::Signal)?;
            return Err(Error::Interrupted);
        }
    }
    screen.say("demo: ok")
}

async fn play(screen: &mut Screen) -> Result<(), Error> {
    let deadline = Deadline::after(LIMIT);
    let create = TestDatabase::create();
    let database = deadline.bound("Postgres to start", create).await??;
    let init = service::init(database.owner_url());
    deadline.bound("the schemas to be laid", init).await??;
    screen.note("a throwaway Postgres is up, and the schemas are laid")?;

    let connect = service::connect(database.url());
    let db = deadline.bound("a connection", connect).await??;
    let outcome = deploy(screen, deadline, &db, database.url()).await;
    db.close().await;
    outcome
}

async fn deploy(screen: &mut Screen, deadline: Deadline, db: &Db, url: &str) -> Result<(), Error> {
    let flow = service::flow(db).await?;
    let start = service::start(&flow, None);
    let run = deadline.bound("the run to be accepted", start).await??;
    screen.note(&format!("cloud.deploy.up v1: run {} is accepted", run.id()))?;
    let accepted_at = flow.get(run.id()).await?.created_at;

    let mut first = WorkerProcess::start(1, url)?;
    screen.note(&format!("worker 1 is started (pid {})", first.id()))?;
    screen.begin_table(accepted_at)?;
    screen.add_worker(first.id());
    let mut watch = Watch::new(db, &flow, run.id(), deadline);
    let awaited = "verify_dns to be done while verify_ssl runs";
    watch
        .until(screen, &mut first, awaited, |seen| {
            if seen.has_finished(UNFINISHED_CHECK) {
                let node = UNFINISHED_CHECK;
                return Err(Error::TooLate { node });
            }
            Ok(seen.is_committed(FINISHED_CHECK) && seen.has_started(UNFINISHED_CHECK))
        })
        .await?;

    first.kill().await?;
    screen.interrupt(&format!(
        "kill -9 {}: worker 1 is dead, with {UNFINISHED_CHECK} unfinished",
        first.id()
    ))?;
    let mut second = WorkerProcess::start(2, url)?;
    screen.add_worker(second.id());
    screen.interrupt(&format!(
        "worker 2 is started (pid {}); it takes over when the lease of worker 1 ends",
        second.id()
    ))?;
    watch
        .until(screen, &mut second, "the run to end", |seen| {
            Ok(seen.has_ended())
        })
        .await?;
    let stop = second.stop();
    deadline.bound("worker 2 to stop", stop).await??;
    screen.note("worker 2 has stopped in order")?;

    let ended = run.refresh().await?;
    screen.record(&ended)?;
    judge(&ended, &watch)?;
    if let Some(repeated) = ledger::repeated(db, run.id()).await? {
        return Err(Error::Repeated(repeated));
    }
    screen.note(&format!(
        "the ledger: {} starts, {} finishes; no finished step ran twice",
        watch.starts(),
        watch.finishes()
    ))?;
    flow.close().await?;
    Ok(())
}

/// The run ended well, and the kill had the effect that it was to have.
fn judge(ended: &Instance<DeployState>, watch: &Watch<'_>) -> Result<(), Error> {
    if ended.status != InstanceStatus::Completed {
        return Err(Error::Outcome {
            status: ended.status,
            reason: ended.failure.as_ref().map(ToString::to_string),
        });
    }
    let unexpected = |node, expected| Error::Unexpected {
        node,
        expected,
        found: format!("{:?}", watch.processes_that_started(node)),
    };
    if watch.processes_that_started(FINISHED_CHECK) != [1] {
        return Err(unexpected(FINISHED_CHECK, "run once, on worker 1"));
    }
    if watch.processes_that_started(UNFINISHED_CHECK) != [1, 2] {
        return Err(unexpected(UNFINISHED_CHECK, "run on worker 1 and then 2"));
    }
    Ok(())
}
