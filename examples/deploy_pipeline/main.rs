// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! Deploys an application in steps that survive `kill -9`, and shows it.
//!
//! | Mode | What it does |
//! |---|---|
//! | `demo` | All of it on a throwaway Postgres, with a worker that is killed midway |
//! | `init`, `worker`, `start` | The same as a service does it, on a database of yours |
//!
//! To copy: `deploy` (the pipeline) and `service` (what runs it). The rest is the show around them.

mod arguments;
mod cloud;
mod demo;
mod deploy;
mod error;
mod ledger;
mod service;

use std::io::{self, Write};
use std::process::ExitCode;

use tracing_subscriber::EnvFilter;

use arguments::Command;
use error::Error;

/// Exit code of a command line that is not understood.
const USAGE: u8 = 2;

#[tokio::main]
async fn main() -> ExitCode {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("error"));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(io::stderr)
        .init();
    let command = match arguments::parse(std::env::args().skip(1)) {
        Ok(command) => command,
        Err(error) => {
            let _ = writeln!(io::stderr(), "{error}\n\n{}", arguments::HELP);
            return ExitCode::from(USAGE);
        }
    };
    match run(command).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(io::stderr(), "deploy_pipeline: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn run(command: Command) -> Result<(), Error> {
    match command {
        Command::Help => writeln!(io::stdout(), "{}", arguments::HELP)?,
        Command::Demo => demo::run().await?,
        Command::Init { database } => service::init(&database).await?,
        Command::Worker {
            database,
            until_stdin_closes,
        } => service::work(&database, until_stdin_closes).await?,
        Command::Start { database, dns } => {
            let db = service::connect(&database).await?;
            let flow = service::flow(&db).await?;
            let run = service::start(&flow, dns).await?;
            writeln!(io::stdout(), "run {} is started", run.id())?;
            let ended = run.wait().await?;
            for log in &ended.state.logs {
                writeln!(io::stdout(), "  {log}")?;
            }
            writeln!(io::stdout(), "run {} is {}", run.id(), ended.status)?;
            flow.close().await?;
            db.close().await;
        }
    }
    Ok(())
}
