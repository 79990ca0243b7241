// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! Prints the results: a table for people, a line of JSON a rival for machines.

use forktex_testkit::figure::{self, Figure, Output};
use serde_json::json;

use crate::measure::{Pair, Standing};

/// Our jobs a second against BullMQ's.
const BULLMQ_BAR: f64 = 1.3;
const BULLMQ: &str = "bullmq";

/// Prints what came of all turns.
pub(crate) fn print(standings: &[Standing], output: Output) {
    match output {
        Output::Table => print_table(standings),
        Output::Json => {
            for standing in standings {
                println!("{}", line(standing));
            }
        }
    }
    figure::print(&bars(standings), output);
}

fn print_table(standings: &[Standing]) {
    println!(
        "{:<16} {:>9} {:>21} {:>9} {:>7}  {:>9} {:>9} {:>7}  {:>9} {:>9} {:>7}",
        "rival",
        "jobs/s",
        "(least to most)",
        "ours",
        "ratio",
        "pickup ms",
        "ours",
        "ratio",
        "p99 ms",
        "ours",
        "ratio"
    );
    for standing in standings
        .iter()
        .filter(|standing| !standing.turns.is_empty())
    {
        let (many, pickup, p99) = pairs(standing);
        println!(
            "{:<16} {:>9.0} {:>21} {:>9.0} {:>7.2}  {:>9.3} {:>9.3} {:>7.3}  {:>9.3} {:>9.3} {:>7.3}",
            format!("{} {}", standing.rival.name, standing.version),
            many.theirs,
            format!("{:.0} to {:.0}", many.least, many.most),
            many.ours,
            many.ratio(),
            pickup.theirs,
            pickup.ours,
            pickup.ratio(),
            p99.theirs,
            p99.ours,
            p99.ratio(),
        );
    }
    println!("\nratio: ours to theirs, of the medians of turns taken one right after the other");
    for standing in standings {
        if let Some(failure) = &standing.failure {
            println!("{} does not run: {failure}", standing.rival.name);
        }
    }
    println!();
}

/// Jobs a second, the median of the pickup, its 99th percentile.
fn pairs(standing: &Standing) -> (Pair, Pair, Pair) {
    (
        standing.pair(|turn| turn.jobs_per_second),
        standing.pair(|turn| turn.pickup_ms),
        standing.pair(|turn| turn.pickup_p99_ms),
    )
}

fn line(standing: &Standing) -> serde_json::Value {
    let figure = |pair: Pair| {
        json!({
            "theirs": pair.theirs, "least": pair.least, "most": pair.most,
            "ours": pair.ours, "ratio": pair.ratio(),
        })
    };
    let (many, pickup, p99) = pairs(standing);
    json!({
        "rival": standing.rival.name,
        "version": standing.version,
        "rounds": standing.turns.len(),
        "at_once": standing.rival.at_once,
        "failure": standing.failure,
        "jobs_per_second": figure(many),
        "pickup_ms": figure(pickup),
        "pickup_p99_ms": figure(p99),
    })
}

/// What the bar is for.
fn bars(standings: &[Standing]) -> Vec<Figure> {
    let standing = standings
        .iter()
        .find(|standing| standing.rival.name == BULLMQ && !standing.turns.is_empty());
    let Some(pair) = standing.map(|standing| standing.pair(|turn| turn.jobs_per_second)) else {
        return Vec::new();
    };
    vec![Figure {
        bench: "queue-rivals.bullmq",
        value: pair.ours,
        unit: "jobs/s",
        baseline: pair.theirs,
        ratio: pair.ratio(),
        bar: BULLMQ_BAR,
        at_most: false,
    }]
}
