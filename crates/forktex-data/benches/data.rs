// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! How fast registers are, as ratios to what somebody would make by hand on the same server in the same
//! run: a typed table with an index for each indexed field, bare SQL, bare COPY, one register alone.
//!
//! The server is real, with durability on. Ours and the baseline take turns; each figure is the median of
//! its rounds. Both sides are bound by row-level security and work in a transaction that names the tenant.
//! A bar that is missed is shown and is no failure of the program: it measures. Answers that differ from
//! the baseline's are one.

#[path = "data/arguments.rs"]
mod arguments;
#[path = "data/bare.rs"]
mod bare;
#[path = "data/crowd.rs"]
mod crowd;
#[path = "data/fixture.rs"]
mod fixture;
#[path = "data/growth.rs"]
mod growth;
#[path = "data/import.rs"]
mod import;
#[path = "data/invoices.rs"]
mod invoices;
#[path = "data/planning.rs"]
mod planning;
#[path = "data/queries.rs"]
mod queries;
#[path = "data/report.rs"]
mod report;
#[path = "data/rows.rs"]
mod rows;

use std::error::Error;
use std::process::ExitCode;

use arguments::Asked;

#[tokio::main]
async fn main() -> ExitCode {
    match run().await {
        Ok(code) => code,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

async fn run() -> Result<ExitCode, Box<dyn Error>> {
    match arguments::read(std::env::args().skip(1))? {
        Asked::Help => {
            println!("{}", arguments::help());
            Ok(ExitCode::SUCCESS)
        }
        Asked::Rows { rows, bench } => Ok(rows::measure(&rows, &bench).await),
    }
}
