// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! The list of rows, and how they are measured one after another.

use std::error::Error;
use std::process::ExitCode;

use futures_util::FutureExt;
use futures_util::future::LocalBoxFuture;

use crate::fixture::Bench;
use crate::report::Report;
use crate::{
    alone, bloat, child, first_step, history, idle, large_state, soak, takeover, throughput,
    waiting, workers,
};

type Measured<'a> = LocalBoxFuture<'a, Result<Report, Box<dyn Error>>>;

/// One thing that is measured.
pub(crate) struct Row {
    pub(crate) name: &'static str,
    pub(crate) what: &'static str,
    /// How many rounds it has where nobody says how many.
    pub(crate) rounds: usize,
    /// Whether it is measured where no row is named.
    pub(crate) is_default: bool,
    measure: fn(&Bench) -> Measured<'_>,
}

macro_rules! row {
    ($module:ident, $rounds:literal, $is_default:literal, $what:literal) => {
        Row {
            name: stringify!($module),
            what: $what,
            rounds: $rounds,
            is_default: $is_default,
            measure: |bench| $module::measure(bench).boxed_local(),
        }
    };
}

pub(crate) const ROWS: [Row; 11] = [
    row!(
        throughput,
        5,
        true,
        "steps a second and WAL a step, against 50 steps a commit"
    ),
    row!(
        alone,
        5,
        true,
        "a step of one run alone, against one bare commit"
    ),
    row!(
        first_step,
        5,
        true,
        "start() to first step, against one bare commit"
    ),
    row!(
        large_state,
        5,
        true,
        "steps a second on a state of 1 MiB, against 1 KiB"
    ),
    row!(
        history,
        3,
        true,
        "steps a second beside 1,000,000 finished runs, against none"
    ),
    row!(
        bloat,
        1,
        true,
        "steps a second and claims under a snapshot of 2 minutes, against none"
    ),
    row!(
        workers,
        5,
        true,
        "4 workers of 250 slots on steps that sleep 50 ms, against 1"
    ),
    row!(waiting, 3, true, "memory a waiting run in a worker"),
    row!(
        takeover,
        1,
        true,
        "100,000 runs of a killed worker taken up by another"
    ),
    row!(idle, 1, true, "what a worker with nothing to do costs"),
    row!(
        soak,
        1,
        false,
        "throughput, sizes and dead rows by the minute under steady load"
    ),
];

/// Measures the rows and prints what they found. One that fails leaves the others their turn.
pub(crate) async fn measure(rows: &[&'static Row], bench: &Bench) -> ExitCode {
    let mut report = Report::default();
    let mut failures = Vec::new();
    for row in rows {
        let bench = bench.with_default_rounds(row.rounds);
        match (row.measure)(&bench).await {
            Ok(found) => report.append(found),
            Err(error) => {
                eprintln!("flow.{}: {error}", row.name);
                failures.push(row.name);
            }
        }
    }
    report.print(bench.output);
    if failures.is_empty() {
        return ExitCode::SUCCESS;
    }
    let names = failures.join(",");
    eprintln!("not measured: {names}; again: cargo xtask bench flow --only {names}");
    ExitCode::FAILURE
}

/// Is a part of a row, in a process of its own.
pub(crate) async fn run_child(part: &str, arguments: &[String]) -> Result<(), Box<dyn Error>> {
    let parent = child::Parent::attend();
    match part {
        first_step::CHILD => first_step::run_child(arguments, parent).await,
        idle::CHILD => idle::run_child(arguments, parent).await,
        takeover::CHILD => takeover::run_child(arguments, parent).await,
        waiting::CHILD => waiting::run_child(arguments, parent).await,
        workers::CHILD => workers::run_child(arguments, parent).await,
        other => Err(format!("no row has a part called `{other}`").into()),
    }
}
