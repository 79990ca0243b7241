// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! Murder on the real thing: worker processes on a real server, killed, frozen and cut off while they
//! run all kinds of workflows; `cargo xtask chaos` runs it. Without the feature `chaos` it is not built.
#![allow(missing_docs)]

#[path = "chaos/arena.rs"]
mod arena;
#[path = "chaos/crew.rs"]
mod crew;
#[path = "chaos/errand.rs"]
mod errand;
#[path = "chaos/judge.rs"]
mod judge;
#[path = "chaos/ledger.rs"]
mod ledger;
#[path = "chaos/office.rs"]
mod office;
#[path = "chaos/options.rs"]
mod options;
#[path = "chaos/round.rs"]
mod round;
#[path = "chaos/scenario.rs"]
mod scenario;
#[path = "chaos/show.rs"]
mod show;
#[path = "chaos/worker.rs"]
mod worker;
#[path = "chaos/workload.rs"]
mod workload;

use std::process::ExitCode;
use std::time::{Duration, Instant};

use arena::Outcome;
use crew::SharedCoverage;
use forktex_testkit::{Postgres, PostgresOptions};
use options::Options;
use round::Round;
use show::Show;

/// How long a round may take, rest and judgement included.
const ROUND_LIMIT: Duration = Duration::from_mins(4);

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let outcome = match arguments.split_first() {
        Some((word, [orders])) if word == "work" => work(orders),
        _ => Options::read(&arguments).and_then(|options| {
            murder(&options).map_err(|error| format!("the murderer itself failed: {error}"))
        }),
    };
    match outcome {
        Ok(code) => code,
        Err(error) => {
            eprintln!("chaos: {error}");
            ExitCode::from(2)
        }
    }
}

/// The life of a worker.
fn work(orders: &str) -> Result<ExitCode, String> {
    if std::env::var_os("RUST_LOG").is_some() {
        tracing_subscriber::fmt()
            .with_env_filter(tracing_subscriber::EnvFilter::from_default_env())
            .with_writer(std::io::stderr)
            .with_ansi(false)
            .init();
    }
    let orders: worker::Orders =
        serde_json::from_str(orders).map_err(|error| format!("orders: {error}"))?;
    worker::run(&orders).map(|()| ExitCode::SUCCESS)
}

#[tokio::main]
async fn murder(options: &Options) -> Outcome<ExitCode> {
    let server = Postgres::start(PostgresOptions::new().durable()).await?;
    let coverage = SharedCoverage::default();
    let mut show = Show::new(options);
    for (number, round) in (1..).zip(options.rounds()) {
        let began_at = Instant::now();
        let playing = round.play(&server, SharedCoverage::clone(&coverage));
        let report = tokio::time::timeout(ROUND_LIMIT, playing)
            .await
            .map_err(|_| {
                format!(
                    "round {number} took longer than {ROUND_LIMIT:?}: {}",
                    again(&round)
                )
            })?
            .map_err(|error| format!("round {number}: {error}; {}", again(&round)))?;
        show.round(number, &round, &report, began_at.elapsed());
        if options.planted.is_some_and(|fault| report.finds(fault)) {
            break;
        }
    }
    Ok(show.end(&coverage))
}

/// How a round is played again.
fn again(round: &Round) -> String {
    let planted = round
        .planted
        .map(|fault| format!(" --planted {}", fault.as_str()));
    let planted = planted.unwrap_or_default();
    format!(
        "play it again with: cargo xtask chaos --seed {} --scenario {} --rounds 1{planted}",
        round.seed,
        round.scenario.name()
    )
}
