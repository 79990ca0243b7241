// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! How fast the engine is, as ratios to bare loops in plain SQL on the same server in the same run.
//!
//! The server is real, with `fsync` and `synchronous_commit` on. Ours and the baseline take turns; each
//! figure is the median of its rounds. A bar that is missed is shown and is no failure of the program:
//! it measures.

#[path = "flow/alone.rs"]
mod alone;
#[path = "flow/baseline.rs"]
mod baseline;
#[path = "flow/throughput.rs"]
mod throughput;

use std::error::Error;

use forktex_testkit::figure::{self, Output};
use forktex_testkit::{Postgres, PostgresOptions};

/// How often ours and the baseline take turns.
const ROUNDS: usize = 3;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut output = Output::Table;
    let mut runs = 40_000;
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--json" => output = Output::Json,
            "--runs" => runs = arguments.next().ok_or("--runs takes a number")?.parse()?,
            // Cargo says so to every benchmark.
            "--bench" => {}
            other => {
                return Err(format!("unknown argument `{other}`: write --json or --runs N").into());
            }
        }
    }
    let server = Postgres::start(
        PostgresOptions::new()
            .durable()
            .setting("max_wal_size", "8GB")
            .setting("shared_buffers", "512MB"),
    )
    .await?;
    let figures = [
        throughput::measure(&server, runs).await?,
        alone::measure(&server).await?,
    ];
    figure::print(&figures, output);
    Ok(())
}
