// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! How fast the engine is, as ratios to bare loops in plain SQL on the same server in the same run.
//!
//! The servers are real, with `fsync` and `synchronous_commit` on, one for each row. Ours and the
//! baseline take turns; each figure is the median of its rounds. A bar that is missed is shown and is no
//! failure of the program: it measures. A row whose work was not done whole is one.

#[path = "flow/alone.rs"]
mod alone;
#[path = "flow/arguments.rs"]
mod arguments;
#[path = "flow/baseline.rs"]
mod baseline;
#[path = "flow/bloat.rs"]
mod bloat;
#[path = "flow/child.rs"]
mod child;
#[path = "flow/claim_times.rs"]
mod claim_times;
#[path = "flow/first_step.rs"]
mod first_step;
#[path = "flow/fixture.rs"]
mod fixture;
#[path = "flow/history.rs"]
mod history;
#[path = "flow/idle.rs"]
mod idle;
#[path = "flow/large_state.rs"]
mod large_state;
#[path = "flow/load.rs"]
mod load;
#[path = "flow/probe.rs"]
mod probe;
#[path = "flow/report.rs"]
mod report;
#[path = "flow/rows.rs"]
mod rows;
#[path = "flow/soak.rs"]
mod soak;
#[path = "flow/takeover.rs"]
mod takeover;
#[path = "flow/throughput.rs"]
mod throughput;
#[path = "flow/waiting.rs"]
mod waiting;
#[path = "flow/workers.rs"]
mod workers;

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
        Asked::Child { part, arguments } => {
            rows::run_child(&part, &arguments).await?;
            Ok(ExitCode::SUCCESS)
        }
        Asked::Rows { rows, bench } => Ok(rows::measure(&rows, &bench).await),
    }
}
