// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! The list of rows, and how they are measured one after another.

use std::error::Error;
use std::process::ExitCode;

use futures_util::FutureExt;
use futures_util::future::LocalBoxFuture;

use crate::fixture::Bench;
use crate::report::Report;
use crate::{crowd, growth, import, queries};

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
        "queries",
        queries,
        5,
        "a page, the next page and facets among 1,000,000 rows of 50 tenants, against a typed table"
    ),
    row!(
        "import",
        import,
        3,
        "CSV into a register, against a bare COPY into the same tables"
    ),
    row!(
        "growth",
        growth,
        5,
        "one register from 10 thousand to 1 million rows; a field added at both ends"
    ),
    row!(
        "crowd",
        crowd,
        5,
        "500 tenants with 20 registers each and 5,000 indexed fields, against one register alone"
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
                eprintln!("data.{}: {error}", row.name);
                failures.push(row.name);
            }
        }
    }
    report.print(bench.output);
    if failures.is_empty() {
        return ExitCode::SUCCESS;
    }
    let names = failures.join(",");
    eprintln!("not measured: {names}; again: cargo xtask bench data --only {names}");
    ExitCode::FAILURE
}
