// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! Steps per second beside a million finished runs, against empty tables.
//!
//! The finished runs are laid once, as copies of a run that the engine wrote. Whole-page images are in
//! the figures of both sides: each half of a round begins after a checkpoint.

use std::error::Error;

use forktex_flow::prelude::*;
use forktex_testkit::figure::{Figure, median};
use forktex_testkit::{Postgres, TestDatabase};

use crate::baseline;
use crate::fixture::{self, Bench, Numbered, PATIENCE};
use crate::probe::Probe;
use crate::report::Report;
use crate::throughput::{self, Ten};

const BENCH: &str = "flow.history";

#[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
pub(crate) async fn measure(bench: &Bench) -> Result<Report, Box<dyn Error>> {
    let server = fixture::server(&[]).await?;
    let finished = bench.size(1_000_000, 10_000);
    let runs = bench.runs_of_ten();
    eprintln!("{BENCH}: laying {finished} finished runs; this takes minutes");
    let full = laid(&server, finished).await?;
    let mut report = Report::default();
    let mut probe = Probe::of(&full).await?;
    let laid = (finished as f64, "runs");
    probe
        .note_sizes(&mut report, BENCH, "as laid", laid)
        .await?;
    let (mut beside, mut empty) = (Vec::new(), Vec::new());
    for round in bench.rounds() {
        bench.progress(BENCH, round, &format!("{runs} runs in empty tables"));
        let fresh = fixture::database(&server).await?;
        probe.run("CHECKPOINT").await?;
        let rate = throughput::steps(&fresh, runs, false).await?;
        empty.push(rate.steps_per_second);
        drop(fresh);
        bench.progress(
            BENCH,
            round,
            &format!("{runs} runs beside the finished ones"),
        );
        probe.run("CHECKPOINT").await?;
        let rate = throughput::steps(&full, runs, false).await?;
        beside.push(rate.steps_per_second);
    }
    let now = (probe.completed().await? as f64, "runs");
    probe
        .note_sizes(&mut report, BENCH, "after the rounds", now)
        .await?;
    let (value, baseline) = (median(beside), median(empty));
    report.figures.push(Figure {
        bench: BENCH,
        value,
        unit: "steps/s",
        baseline,
        ratio: value / baseline,
        bar: 0.9,
        at_most: false,
    });
    Ok(report)
}

/// A database with so many finished runs.
async fn laid(server: &Postgres, finished: usize) -> Result<TestDatabase, Box<dyn Error>> {
    let database = fixture::database(server).await?;
    let flow = Flow::builder(database.url()).build().await?;
    flow.start_driver().await?;
    let sample = flow.start(Ten, Numbered { number: 0 }).await?;
    let sample = sample.wait().timeout(PATIENCE).await?;
    let url = database.superuser_url();
    baseline::run_file(
        server,
        url,
        "finished_runs.sql",
        &[("runs", finished as u64)],
    )
    .await?;
    let mut probe = Probe::of(&database).await?;
    probe.expect_completed(finished + 1).await?;
    let copy = flow
        .get(probe.newest_before(sample.instance_id).await?)
        .await?;
    flow.close().await?;
    // Not only the tables, the engine too must take it for a finished run.
    if copy.status != InstanceStatus::Completed || copy.nodes.len() != sample.nodes.len() {
        return Err(format!("a laid run reads as {}: {copy:?}", copy.status.as_str()).into());
    }
    Ok(database)
}
