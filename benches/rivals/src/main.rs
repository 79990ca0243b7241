// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! The same work on ForkTex and on its rivals in Rust: many runs of ten steps that do nothing, and one
//! run alone. Ours and theirs take turns on one private server with `fsync` and `synchronous_commit` on,
//! each in a fresh database and a process of its own, and each at the settings found best for it.
//!
//! Run by `cargo xtask bench rivals`; docs/rivals.md says how each rival is used. A bar that is missed is
//! shown and is no failure of the program: it measures. A rival that does not run is named, with the
//! reason.

mod apalis;
mod arguments;
mod child;
mod contender;
mod dbos;
mod durare;
#[cfg(feature = "duroxide")]
mod duroxide;
mod graphile_worker;
mod measure;
mod ours;
mod sayiir;
mod standing;
mod steps;
mod table;
mod underway;

use std::process::ExitCode;

use arguments::Arguments;
use contender::Outcome;
use measure::{Bench, Player};
use standing::{Standing, Turn};

#[tokio::main]
async fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let done = match arguments.as_slice() {
        [word, name, order] if word == "--obey" => obey(name, order).await,
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

/// What a process of a measurement does.
async fn obey(name: &str, order: &str) -> Outcome<()> {
    let entries = contender::rivals().into_iter().chain([contender::ours()]);
    let entry = entries.into_iter().find(|entry| entry.facts.name == name);
    let entry = entry.ok_or_else(|| format!("no engine is called `{name}`"))?;
    (entry.obey)(serde_json::from_str(order)?).await
}

/// Has ours and each rival take turns, and prints what came of it.
async fn compare(arguments: Vec<String>) -> Outcome<()> {
    let arguments = Arguments::read(arguments)?;
    let rivals = arguments.chosen(contender::rivals())?;
    let mut ours = arguments.our_player(contender::ours());
    let mut bench = Bench::start().await?;
    eprintln!("PostgreSQL {}", bench.version().await?);

    eprintln!("calibrating {}", ours.entry.facts.name);
    bench.calibrate(&mut ours).await?;
    let mut standings = Vec::new();
    for rival in rivals {
        eprintln!("calibrating {}", rival.facts.name);
        let mut player = arguments.player(rival);
        let calibrated = bench.calibrate(&mut player).await;
        standings.push(Standing::new(player, calibrated));
    }
    for round in 1..=arguments.rounds {
        for standing in &mut standings {
            if standing.is_out() {
                continue;
            }
            let name = standing.player.entry.facts.name;
            eprintln!("round {round} of {}: {name}", arguments.rounds);
            let turn = take_turns(&mut bench, &mut ours, &mut standing.player).await?;
            standing.note(turn);
        }
    }
    table::print(&ours.entry.facts, &standings, arguments.output);
    Ok(())
}

/// Ours, theirs, ours, theirs: many runs at once, then one alone. A fault of ours ends the program, one
/// of theirs their part in it.
async fn take_turns(
    bench: &mut Bench,
    ours: &mut Player,
    theirs: &mut Player,
) -> Outcome<Outcome<Turn>> {
    let our_many = bench.many(ours).await?;
    let their_many = match bench.many(theirs).await {
        Ok(many) => many,
        Err(fault) => return Ok(Err(fault)),
    };
    let our_alone = bench.alone(ours).await?;
    let their_alone = match bench.alone(theirs).await {
        Ok(alone) => alone,
        Err(fault) => return Ok(Err(fault)),
    };
    let turn = Turn {
        our_many,
        their_many,
        our_alone,
        their_alone,
    };
    eprintln!("  {turn}");
    Ok(Ok(turn))
}
