// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! A worker process, to be murdered. It tells its parent by lines: `ready`, `hit <point>` for each
//! point that it comes to for the first time, and `dying <point>` before it kills itself there.

use std::collections::HashMap;
use std::io::{BufRead as _, Write as _};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use forktex::db::{Db, DbOptions};
use forktex::flow::planted::PlantedFault;
use forktex::flow::{Election, Flow, failpoint};
use rustix::process::{Signal, getpid, kill_process};
use serde::{Deserialize, Serialize};
use tokio::sync::Notify;

use crate::errand::Runner;
use crate::ledger::{Ledger, side_pool};
use crate::office::{self, Yearly};
use crate::workload::{LineTwo, Tick};

/// What a worker is told on its command line.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Orders {
    pub(crate) name: String,
    /// The way of the flow, perhaps through a proxy or a pooler.
    pub(crate) url: String,
    /// The way of the ledger.
    pub(crate) side_url: String,
    pub(crate) release: Release,
    pub(crate) is_pooled: bool,
    /// Where it is to die, and at which time of coming there.
    pub(crate) dies_at: Option<(String, u32)>,
    pub(crate) planted: Option<String>,
}

/// What is deployed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Release {
    /// Version 1 of everything.
    Old,
    /// Version 2 of `chaos.line` as well.
    New,
}

pub(crate) const SLOTS: u32 = 12;
pub(crate) const LEASE: Duration = Duration::from_secs(2);
/// The line by which a parent asks a worker to drain and end.
pub(crate) const STOP: &str = "stop";

const PAUSE: Duration = Duration::from_millis(100);

/// The whole life of a worker.
pub(crate) fn run(orders: &Orders) -> Result<(), String> {
    let stop = Arc::new(Notify::new());
    listen(Arc::clone(&stop));
    watch_points(orders.dies_at.clone());
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .map_err(|error| error.to_string())?;
    runtime.block_on(async {
        let db = connect(orders).await;
        let flow = build(orders, &db).await?;
        while let Err(error) = flow.start_driver().await {
            tracing::debug!(%error, "cannot start the driver; trying again");
            tokio::time::sleep(PAUSE).await;
        }
        say("ready");
        let side = side_pool(&orders.side_url).map_err(|error| error.to_string())?;
        let runner = Runner {
            flow: flow.clone(),
            db,
            side,
        };
        tokio::select! {
            () = runner.run() => {}
            () = stop.notified() => {}
        }
        flow.close().await.map_err(|error| error.to_string())
    })
}

async fn connect(orders: &Orders) -> Db {
    let options = || {
        let options = DbOptions::new()
            .max_connections(8)
            .acquire_timeout(Duration::from_secs(3))
            .connect_timeout(Duration::from_secs(3))
            .application_name(format!("chaos {}", orders.name));
        if orders.is_pooled {
            options.pooled_by_proxy()
        } else {
            options
        }
    };
    loop {
        match Db::connect(&orders.url, options()).await {
            Ok(db) => return db,
            Err(error) => {
                tracing::debug!(%error, "cannot connect; trying again");
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
}

async fn build(orders: &Orders, db: &Db) -> Result<Flow, String> {
    let ledger = Ledger {
        pool: side_pool(&orders.side_url).map_err(|error| error.to_string())?,
        worker: orders.name.clone(),
    };
    let mut builder = Flow::builder(db.clone())
        .worker_name(&orders.name)
        .slots(SLOTS)
        .lease(LEASE)
        .drain_timeout(Duration::from_secs(5))
        .register::<Tick>()
        .register::<Yearly>()
        .retention(office::retention())
        .resource(ledger);
    if orders.release == Release::New {
        builder = builder.register::<LineTwo>();
    }
    if orders.is_pooled {
        builder = builder.election(Election::RowLease).without_notifications();
    }
    if let Some(name) = &orders.planted {
        let fault = PlantedFault::from_name(name).ok_or(format!("no fault is called `{name}`"))?;
        builder = builder.planted(fault);
    }
    builder.build().await.map_err(|error| error.to_string())
}

/// Ends when the parent does, and stops when it says so.
fn listen(stop: Arc<Notify>) {
    std::thread::spawn(move || {
        for line in std::io::stdin().lock().lines() {
            match line {
                Ok(line) if line == STOP => stop.notify_one(),
                Ok(_) => {}
                Err(_) => break,
            }
        }
        std::process::exit(0);
    });
}

fn watch_points(dies_at: Option<(String, u32)>) {
    let counts: Mutex<HashMap<&'static str, u32>> = Mutex::default();
    failpoint::observe(move |point| {
        let count = {
            let mut counts = counts.lock().unwrap_or_else(PoisonError::into_inner);
            let count = counts.entry(point).or_default();
            *count += 1;
            *count
        };
        if count == 1 {
            say(&format!("hit {point}"));
        }
        let is_here = |(name, time): &(String, u32)| name == point && *time == count;
        if dies_at.as_ref().is_some_and(is_here) {
            say(&format!("dying {point}"));
            let _ = kill_process(getpid(), Signal::KILL);
        }
    });
}

fn say(line: &str) {
    let mut out = std::io::stdout().lock();
    let _ = writeln!(out, "{line}");
    let _ = out.flush();
}
