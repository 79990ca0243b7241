// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! Runs that start runs: a release that goes out to many regions at once.
//!
//! `scatter_gather` plays three releases on a throwaway Postgres: one that reaches all regions, one that
//! is given up with the first that fails, and one that takes what it gets. To copy: `regions`.

mod regions;

use std::error::Error;
use std::io::{self, Write as _};
use std::process::ExitCode;

use forktex::flow::prelude::*;
use forktex_testkit::TestDatabase;
use tracing_subscriber::EnvFilter;

use regions::{Release, ReleaseToAll, ReleaseToSome};

#[tokio::main]
async fn main() -> ExitCode {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("error"));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(io::stderr)
        .init();
    match run().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(io::stderr(), "scatter_gather: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn run() -> Result<(), Box<dyn Error>> {
    let database = TestDatabase::create().await?;
    let flow = Flow::builder(database.owner_url()).build().await?;
    flow.init().await?;
    flow.start_driver().await?;

    let near = [
        "berlin", "cluj", "dublin", "lisbon", "oslo", "porto", "riga",
    ];
    let done = flow
        .start(ReleaseToAll, release(&near))
        .await?
        .wait()
        .await?;
    show("to all", &done)?;
    let is_in_order = done
        .state
        .endpoints
        .iter()
        .zip(near)
        .all(|(endpoint, name)| endpoint.starts_with(&format!("https://{name}.")));
    check(
        done.state.endpoints.len() == near.len() && is_in_order,
        "all were reached, and the results come in the order of the regions",
    )?;

    let far = ["berlin", "mars", "oslo"];
    let failed = flow
        .start(ReleaseToAll, release(&far))
        .await?
        .wait()
        .await?;
    show("all or nothing", &failed)?;
    check(
        failed.status == InstanceStatus::Failed && failed.node("canary").is_some(),
        "one region that fails fails the release, after its canary",
    )?;

    let settled = flow
        .start(ReleaseToSome, release(&far))
        .await?
        .wait()
        .await?;
    show("to some", &settled)?;
    check(
        settled.status == InstanceStatus::Completed
            && settled.state.endpoints.len() == 2
            && settled.state.failures.len() == 1,
        "two regions were reached, and it is known of the third why not",
    )?;
    flow.close().await?;
    writeln!(io::stdout(), "scatter_gather: ok")?;
    Ok(())
}

fn release(regions: &[&str]) -> Release {
    Release {
        image: "shop:7".to_owned(),
        regions: regions.iter().map(ToString::to_string).collect(),
        endpoints: Vec::new(),
        failures: Vec::new(),
    }
}

fn show(title: &str, done: &Instance<Release>) -> Result<(), Box<dyn Error>> {
    let mut out = io::stdout();
    writeln!(out, "{title}: {}", done.status)?;
    for endpoint in &done.state.endpoints {
        writeln!(out, "  {endpoint}")?;
    }
    let failure = done.failure.iter().map(ToString::to_string);
    for failure in done.state.failures.iter().cloned().chain(failure) {
        writeln!(out, "  {failure}")?;
    }
    Ok(())
}

/// An example that shows something else than it says must fail.
fn check(holds: bool, what: &str) -> Result<(), Box<dyn Error>> {
    if holds {
        return Ok(());
    }
    Err(format!("it does not hold that {what}").into())
}
