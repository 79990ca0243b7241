// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! The same jobs on forktex-queue and on its rivals of other languages: many that do nothing, and one at a
//! time. Ours and theirs take turns on one private Redis, emptied before each turn, each in a process of
//! its own, and each as its own documentation advises.
//!
//! Run by `cargo xtask bench queue-rivals`. A bar that is missed is shown and is no failure of the program:
//! it measures. A rival that does not run is named, with the reason.

mod arguments;
mod contender;
mod measure;
mod ours;
mod table;

use std::process::ExitCode;

use arguments::Arguments;
use contender::{Contender, Outcome};
use measure::{Bench, Standing};

#[tokio::main]
async fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let done = match arguments.as_slice() {
        [word, order] if word == contender::OBEY => ours::obey(order).await,
        _ => compare(arguments).await,
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

/// Has ours and each rival take turns, and prints what came of it.
async fn compare(arguments: Vec<String>) -> Outcome<()> {
    let arguments = Arguments::read(arguments)?;
    let ours = Contender::ours()?;
    let rivals = arguments.chosen(vec![Contender::bullmq(), Contender::arq()])?;
    let mut standings: Vec<Standing> = rivals.into_iter().map(Standing::new).collect();
    let bench = Bench::start(arguments.jobs).await?;
    for round in 1..=arguments.rounds {
        for standing in &mut standings {
            if standing.failure.is_some() {
                continue;
            }
            eprintln!(
                "round {round} of {}: {}",
                arguments.rounds, standing.rival.name
            );
            standing.take_turn(&bench, &ours).await?;
        }
    }
    table::print(&standings, arguments.output);
    Ok(())
}
