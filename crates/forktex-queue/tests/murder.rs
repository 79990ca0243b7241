// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! Murder on the real thing: processes of workers on a real server, killed and frozen while they work, and
//! the server killed and started again. A ledger outside of both says what was done.
//!
//! `cargo test --test murder` murders beside 2,000 jobs; by hand: `-- --jobs 50000 --backend postgres`. The
//! program starts itself again for each worker.
#![allow(missing_docs)]

#[path = "murder/crew.rs"]
mod crew;
#[path = "murder/judge.rs"]
mod judge;
#[path = "murder/ledger.rs"]
mod ledger;
#[path = "murder/options.rs"]
mod options;
#[path = "murder/place.rs"]
mod place;
#[path = "murder/producer.rs"]
mod producer;
#[path = "murder/round.rs"]
mod round;
#[path = "murder/worker.rs"]
mod worker;

use std::error::Error;
use std::process::ExitCode;
use std::time::Instant;

use options::{Asked, Options};

/// What the program and its parts come to.
type Outcome<T> = Result<T, Box<dyn Error + Send + Sync>>;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let outcome = match options::read(&arguments) {
        Ok(Asked::Nothing) => Ok(()),
        Ok(Asked::List) => {
            println!("murder: test");
            Ok(())
        }
        Ok(Asked::Work(orders)) => worker::run(&orders),
        Ok(Asked::Murder(options)) => murder(&options),
        Err(error) => Err(error.into()),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("murder: {error}");
            ExitCode::FAILURE
        }
    }
}

#[tokio::main]
async fn murder(options: &Options) -> Outcome<()> {
    for kind in &options.backends {
        let began_at = Instant::now();
        let seed = options.seed;
        eprintln!(
            "murder: {} jobs on {}, seed {seed}",
            options.jobs,
            kind.as_str()
        );
        let report = round::play(*kind, options)
            .await
            .map_err(|error| format!("on {}, seed {seed}: {error}", kind.as_str()))?;
        println!(
            "murder on {}: {report}; {:.1} s",
            kind.as_str(),
            began_at.elapsed().as_secs_f64()
        );
    }
    Ok(())
}
