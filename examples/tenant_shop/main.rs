// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! A shop for many organisations: none sees the rows of another, and accounts are stored encrypted.
//!
//! `tenant_shop` runs all of it on a throwaway Postgres and checks each step. To copy: `models` (what is
//! stored) and `service` (what handlers call).

mod demo;
mod models;
mod service;

use std::io::{self, Write as _};
use std::process::ExitCode;

use tracing_subscriber::EnvFilter;

#[tokio::main]
async fn main() -> ExitCode {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("error"));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(io::stderr)
        .init();
    match demo::run().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(io::stderr(), "tenant_shop: {error}");
            ExitCode::FAILURE
        }
    }
}
