// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! The list of rows, and how they are measured one after another.

use std::error::Error;
use std::process::ExitCode;

use futures_util::FutureExt;
use futures_util::future::LocalBoxFuture;

use crate::fixture::Bench;
use crate::report::Report;
use crate::{pickup, throughput};

type Measured<'a> = LocalBoxFuture<'a, Result<Report, Box<dyn Error>>>;

/// One thing that is measured.
pub(crate) struct Row {
    pub(crate) name: &'static str,
    pub(crate) what: &'static str,
    /// How many rounds it has where nobody says how many.
    pub(crate) rounds: usize,
    measure: fn(&Bench) -> Measured<'_>,
}

macro_rules! row {
    ($name:literal, $module:ident, $rounds:literal, $what:literal) => {
        Row {
            name: $name,
            what: $what,
            rounds: $rounds,
            measure: |bench| $module::measure(bench).boxed_local(),
        }
    };
}

pub(crate) const ROWS: &[Row] = &[
    row!(
        "postgres",
        throughput,
        5,
        "jobs a second on Postgres, against a bare loop of 200 a commit"
    ),
    row!(
        "postgres_pickup",
        pickup,
        5,
        "enqueue() to the handler of an idle worker in another process, p99"
    ),
    #[cfg(feature = "redis")]
    Row {
        name: "redis",
        what: "jobs a second and pickup on Redis, against bare scripts",
        rounds: 5,
        measure: |bench| on_redis(bench).boxed_local(),
    },
];

#[cfg(feature = "redis")]
async fn on_redis(bench: &Bench) -> Result<Report, Box<dyn Error>> {
    let figures = crate::redis::figures(bench.rounds().count());
    let figures = figures.await.map_err(|error| -> Box<dyn Error> { error })?;
    Ok(Report {
        figures,
        notes: Vec::new(),
    })
}

/// Measures the rows and prints what they found. One that fails leaves the others their turn.
pub(crate) async fn measure(rows: &[&'static Row], bench: &Bench) -> ExitCode {
    let mut report = Report::default();
    let mut failures = Vec::new();
    for row in rows {
        let bench = bench.with_default_rounds(row.rounds);
        match (row.measure)(&bench).await {
            Ok(found) => report.append(found),
            Err(error) => {
                eprintln!("queue.{}: {error}", row.name);
                failures.push(row.name);
            }
        }
    }
    report.print(bench.output);
    if failures.is_empty() {
        return ExitCode::SUCCESS;
    }
    let names = failures.join(",");
    eprintln!("not measured: {names}; again: cargo xtask bench queue --only {names}");
    ExitCode::FAILURE
}
