// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! What a worker with nothing to do costs: statements a second, counted by the server, and the share of a
//! core, counted by the kernel. That both would be seen is tried in the same row, with a worker that has
//! something to do beside.
//!
//! The worker leads as well. A pulse may fall on both ends of the time, so one statement more than seconds
//! is still one a second.

use std::error::Error;
use std::time::{Duration, Instant};

use forktex_db::sqlx::{self, Connection, PgConnection};
use forktex_flow::prelude::*;
use forktex_testkit::Postgres;
use forktex_testkit::figure::{Figure, median};

use crate::child::{self, Child, Parent};
use crate::fixture::{self, Bench, PATIENCE};
use crate::probe::Probe;
use crate::report::Report;

pub(crate) const CHILD: &str = "idle";

const QUERIES: &str = "flow.idle.queries";
const CPU: &str = "flow.idle.cpu";

/// What a worker is asked to do beside nothing.
const CALM: &str = "calm";
const RESTLESS: &str = "restless";

/// The pause of the restless one, and how long it then keeps a core busy.
const RESTLESS_PAUSE: Duration = Duration::from_millis(100);
const RESTLESS_WORK: Duration = Duration::from_millis(10);

/// A worker as it is by default.
pub(crate) async fn run_child(
    arguments: &[String],
    mut parent: Parent,
) -> Result<(), Box<dyn Error>> {
    let [url, conduct] = arguments else {
        return Err("a worker needs a URL and a conduct".into());
    };
    let flow = Flow::builder(url).build().await?;
    flow.start_driver().await?;
    if conduct == RESTLESS {
        let mut connection = PgConnection::connect(url).await?;
        tokio::spawn(async move {
            while sqlx::query("SELECT 1")
                .execute(&mut connection)
                .await
                .is_ok()
            {
                let busy_until = Instant::now() + RESTLESS_WORK;
                while Instant::now() < busy_until {}
                tokio::time::sleep(RESTLESS_PAUSE).await;
            }
        });
    }
    child::tell("ready");
    parent.order().await?;
    Ok(flow.close().await?)
}

struct Idleness {
    queries_per_second: f64,
    core_percent: f64,
}

pub(crate) async fn measure(bench: &Bench) -> Result<Report, Box<dyn Error>> {
    let server = fixture::server(&[
        ("shared_preload_libraries", "pg_stat_statements"),
        ("pg_stat_statements.track", "all"),
    ])
    .await?;
    let time = bench.size(Duration::from_secs(30), Duration::from_secs(5));
    let mut report = Report::default();
    let (mut queries, mut percents) = (Vec::new(), Vec::new());
    for round in bench.rounds() {
        bench.progress("flow.idle", round, &format!("{time:?} of nothing to do"));
        let idleness = idle(&server, CALM, time, &mut report).await?;
        queries.push(idleness.queries_per_second);
        percents.push(idleness.core_percent);
    }
    eprintln!("flow.idle: a worker that is restless on purpose");
    let time = Duration::from_secs(5);
    let caught = idle(&server, RESTLESS, time, &mut Report::default()).await?;
    if caught.queries_per_second <= 1.0 || caught.core_percent <= 1.0 {
        return Err("a worker that is restless on purpose looked idle".into());
    }
    report.note(
        QUERIES,
        "seen of a restless one",
        caught.queries_per_second,
        "queries/s",
    );
    report.note(
        CPU,
        "seen of a restless one",
        caught.core_percent,
        "% of core",
    );
    let figure = |bench, value, unit| Figure {
        bench,
        value,
        unit,
        baseline: 1.0,
        ratio: value,
        bar: 1.0,
        at_most: true,
    };
    report
        .figures
        .push(figure(QUERIES, median(queries), "queries/s"));
    report
        .figures
        .push(figure(CPU, median(percents), "% of core"));
    Ok(report)
}

#[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
async fn idle(
    server: &Postgres,
    conduct: &str,
    time: Duration,
    report: &mut Report,
) -> Result<Idleness, Box<dyn Error>> {
    let database = fixture::database(server).await?;
    let mut probe = Probe::of(&database).await?;
    probe.run("CREATE EXTENSION pg_stat_statements").await?;
    let mut child = Child::spawn(CHILD, &[database.url(), conduct])?;
    child.expect("ready", PATIENCE).await?;
    until_settled(&mut probe).await?;
    let cpu_before = child.cpu_seconds()?;
    probe.run("SELECT pg_stat_statements_reset()").await?;
    let began_at = Instant::now();
    tokio::time::sleep(time).await;
    let statements = statements(&mut probe).await?;
    let elapsed = began_at.elapsed().as_secs_f64();
    let core_percent = (child.cpu_seconds()? - cpu_before) / elapsed * 100.0;
    child.kill().await?;
    let calls: i64 = statements.iter().map(|(_, calls)| calls).sum();
    if calls == 0 {
        return Err("no statement was counted: a worker that lives renews its lease".into());
    }
    for (statement, calls) in &statements {
        let words = statement.split_whitespace().take(8);
        let what = format!("calls of: {}", words.collect::<Vec<_>>().join(" "));
        report.note(QUERIES, what, *calls as f64, "calls");
    }
    Ok(Idleness {
        queries_per_second: (calls - 1) as f64 / elapsed,
        core_percent,
    })
}

/// Waits until the worker leads and has renewed that twice.
async fn until_settled(probe: &mut Probe) -> Result<(), Box<dyn Error>> {
    let renewed = "SELECT coalesce(
        (SELECT (extract(epoch FROM renewed_at) * 1000000)::bigint FROM forktex_flow.leader), 0)";
    let mut last = 0;
    for _ in 0..3 {
        fixture::until("the worker leads", PATIENCE, async || {
            let now = probe.number(renewed).await?;
            let is_new = now > last;
            last = now;
            Ok(is_new)
        })
        .await?;
    }
    Ok(())
}

/// The statements of the worker's role since the last reset.
async fn statements(probe: &mut Probe) -> Result<Vec<(String, i64)>, Box<dyn Error>> {
    probe
        .texts(
            "SELECT regexp_replace(query, '^(\\s*--[^\\n]*\\n)+', ''), calls
             FROM pg_stat_statements
             WHERE dbid = (SELECT oid FROM pg_database WHERE datname = current_database())
               AND userid <> (SELECT oid FROM pg_roles WHERE rolname = current_user)
             ORDER BY calls DESC, query",
        )
        .await
}
