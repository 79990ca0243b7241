// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! The engine of forktex-flow under a seeded scheduler: many worlds, in each of which processes die,
//! freeze and lose answers while callers start runs, and a checker that judges what came of it by the
//! engine's guarantees. `cargo xtask sim` builds and runs this.
//!
//! The engine is the real one, on the store in memory; the scheduler and the clock are the runtime's,
//! with the seed. What is not simulated is the SQL: that is what the conformance tests are for.

mod arguments;
mod callers;
mod campaign;
mod cast;
mod checker;
mod chronicle;
mod history;
mod panics;
mod plan;
mod report;
mod tally;
mod wire;
mod world;

use std::process::ExitCode;

use arguments::{Arguments, Task};
use campaign::{Campaign, judge};

fn main() -> ExitCode {
    let arguments = match Arguments::read(std::env::args().skip(1)) {
        Ok(arguments) => arguments,
        Err(error) => {
            report::complain(&error);
            return ExitCode::from(2);
        }
    };
    if cfg!(not(tokio_unstable)) {
        eprintln!(
            "built without `--cfg tokio_unstable` (a RUSTFLAGS replaces what .cargo/config.toml says): \
             a seed does not give the same world twice"
        );
    }
    panics::keep();
    let is_as_it_should = match arguments.task {
        Task::Replay { seed } => {
            let (history, violations) = judge(seed, arguments.planted, true);
            report::replay(history.as_ref(), &violations);
            violations.is_empty()
        }
        Task::Campaign {
            from,
            seeds,
            is_twice,
        } => {
            let campaign = Campaign {
                from,
                seeds,
                planted: arguments.planted,
                is_twice,
            };
            let outcome = campaign.run();
            report::campaign(campaign, &outcome, arguments.is_json);
            outcome.broken.is_some() == arguments.planted.is_some()
        }
    };
    if is_as_it_should {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}
