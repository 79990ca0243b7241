// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! A service that limits logins: by address before anything is read, and by account.
//!
//! `rate_limit` serves on two free ports with a throwaway Redis, as two processes of one service would,
//! plays somebody who guesses passwords, and stops. To copy: `service`.

mod client;
mod demo;
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
            let _ = writeln!(io::stderr(), "rate_limit: {error}");
            ExitCode::FAILURE
        }
    }
}
