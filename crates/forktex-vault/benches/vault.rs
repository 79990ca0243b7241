// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! How fast values are sealed, opened and rotated, as ratios to the bare cipher and to a bare update of
//! the same bytes, in the same run.
//!
//! The server is real, with `fsync` and `synchronous_commit` on. Ours and the baseline take turns; each
//! figure is the median of its rounds. A bar that is missed is shown and is no failure of the program.

#[path = "vault/ciphers.rs"]
mod ciphers;
#[path = "vault/rotation.rs"]
mod rotation;

use std::error::Error;

use forktex_testkit::figure::{self, Output};
use forktex_testkit::{Postgres, PostgresOptions};

/// How often ours and the baseline take turns.
const ROUNDS: usize = 3;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut output = Output::Table;
    let mut rows = 1_000_000;
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--json" => output = Output::Json,
            "--rows" => rows = arguments.next().ok_or("--rows takes a number")?.parse()?,
            // Cargo says so to every benchmark.
            "--bench" => {}
            other => {
                return Err(format!("unknown argument `{other}`: write --json or --rows N").into());
            }
        }
    }
    let mut figures = ciphers::measure()?;
    let server = Postgres::start(
        PostgresOptions::new()
            .durable()
            .setting("max_wal_size", "8GB")
            .setting("shared_buffers", "512MB"),
    )
    .await?;
    figures.push(rotation::measure(&server, rows.min(200_000)).await?);
    rotation::large(&server, rows).await?;
    figure::print(&figures, output);
    Ok(())
}
