// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! How fast a queue is, as ratios to bare loops on the same server in the same run: on Postgres frozen SQL,
//! on Redis a bare script.
//!
//! The servers are real, with durability on. Ours and the baseline take turns; each figure is the median of
//! its rounds. A bar that is missed is shown and is no failure of the program: it measures. A row whose work
//! was not done whole is one.

#[path = "queue/arguments.rs"]
mod arguments;
#[path = "queue/baseline.rs"]
mod baseline;
#[path = "queue/child.rs"]
mod child;
#[path = "queue/fixture.rs"]
mod fixture;
#[path = "queue/pickup.rs"]
mod pickup;
#[cfg(feature = "redis")]
#[path = "queue/redis.rs"]
mod redis;
#[path = "queue/report.rs"]
mod report;
#[path = "queue/rows.rs"]
mod rows;
#[path = "queue/throughput.rs"]
mod throughput;

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
        Asked::Child { arguments } => {
            pickup::run_child(&arguments).await?;
            Ok(ExitCode::SUCCESS)
        }
        Asked::Rows { rows, bench } => Ok(rows::measure(&rows, &bench).await),
    }
}
