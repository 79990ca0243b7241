// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! Prints the results: tables for people, a line of JSON an engine for machines.

use forktex_testkit::figure::{self, Figure, Output, median};
use serde_json::json;

use crate::contender::{Facts, LEFT_OUT, Steps, version};
use crate::measure::Written;
use crate::standing::{Pair, Standing, Turn, best};

/// Our steps a second against the best rival's that keeps its steps.
const THROUGHPUT_BAR: f64 = 15.0;
/// Our step of a run alone against the best rival's: a third is the aim.
const ALONE_BAR: f64 = 0.33;

/// Prints what came of all turns.
pub(crate) fn print(ours: &Facts, standings: &[Standing], output: Output) {
    match output {
        Output::Table => {
            print_speed(standings);
            print_written(ours, standings);
            print_notes(ours, standings);
        }
        Output::Json => print_lines(ours, standings),
    }
    figure::print(&bars(standings), output);
}

fn print_speed(standings: &[Standing]) {
    println!(
        "{:<18} {:>7} {:>21} {:>9} {:>8} {:>9} {:>8} {:>9} {:>8}",
        "engine",
        "steps/s",
        "(least to most)",
        "ours",
        "ratio",
        "ms/step",
        "ratio",
        "first ms",
        "ratio"
    );
    for standing in standings {
        if standing.turns().is_empty() {
            continue;
        }
        let many = standing.steps_per_second();
        let (step, first) = (standing.step_ms(), standing.first_step_ms());
        println!(
            "{:<18} {:>7.0} {:>21} {:>9.0} {:>8.2} {:>9.3} {:>8.3} {:>9.3} {:>8.3}",
            standing.player.entry.facts.name,
            many.theirs,
            format!("{:.0} to {:.0}", many.least, many.most),
            many.ours,
            many.ratio(),
            step.theirs,
            step.ratio(),
            first.theirs,
            first.ratio(),
        );
    }
    println!("\nratio: ours to theirs, of the medians of turns taken one right after the other\n");
}

fn print_written(ours: &Facts, standings: &[Standing]) {
    println!(
        "{:<18} {:>12} {:>9} {:>9} {:>9} {:>10}   durable after a step",
        "written a step", "transactions", "inserted", "updated", "deleted", "WAL bytes"
    );
    let line = |facts: &Facts, written: Written| {
        println!(
            "{:<18} {:>12.2} {:>9.2} {:>9.2} {:>9.2} {:>10.0}   {}",
            facts.name,
            written.transactions,
            written.inserted,
            written.updated,
            written.deleted,
            written.wal_bytes,
            facts.durable,
        );
    };
    if let Some(written) = our_written(standings) {
        line(ours, written);
    }
    for standing in standings {
        if let Some(written) = written(standing.turns(), |turn| turn.their_many.written) {
            line(&standing.player.entry.facts, written);
        }
    }
    println!();
}

fn print_notes(ours: &Facts, standings: &[Standing]) {
    println!("{}: {}", ours.name, versions(ours));
    for standing in standings {
        let facts = &standing.player.entry.facts;
        let steps = match facts.steps {
            Steps::Durable => "",
            Steps::Chained => "; a chain of jobs: no results, no record of what was done",
        };
        println!(
            "{}: {}; {} connections, {} at once{steps}",
            facts.name,
            versions(facts),
            standing.player.settings.connections,
            standing.player.settings.at_once,
        );
        if let Some(failure) = &standing.failure {
            println!("{} does not run: {failure}", facts.name);
        }
    }
    for (name, reason) in LEFT_OUT {
        println!("{name} does not run: {reason}");
    }
    println!();
}

fn print_lines(ours: &Facts, standings: &[Standing]) {
    if let Some(written) = our_written(standings) {
        let line = json!({
            "engine": ours.name,
            "versions": versions(ours),
            "durable": ours.durable,
            "written_a_step": written_json(written),
        });
        println!("{line}");
    }
    for standing in standings {
        let facts = &standing.player.entry.facts;
        let figure = |pair: Pair| {
            json!({
                "theirs": pair.theirs, "least": pair.least, "most": pair.most,
                "ours": pair.ours, "ratio": pair.ratio(),
            })
        };
        let written = written(standing.turns(), |turn| turn.their_many.written);
        let line = json!({
            "engine": facts.name,
            "versions": versions(facts),
            "durable_steps": facts.steps == Steps::Durable,
            "durable": facts.durable,
            "rounds": standing.turns().len(),
            "runs": standing.player.runs.count(),
            "settings": standing.player.settings,
            "failure": standing.failure,
            "steps_per_second": figure(standing.steps_per_second()),
            "step_ms": figure(standing.step_ms()),
            "first_step_ms": figure(standing.first_step_ms()),
            "written_a_step": written.map(written_json),
        });
        println!("{line}");
    }
    for (name, reason) in LEFT_OUT {
        println!("{}", json!({ "engine": name, "failure": reason }));
    }
}

fn written_json(written: Written) -> serde_json::Value {
    json!({
        "transactions": written.transactions,
        "inserted": written.inserted,
        "updated": written.updated,
        "deleted": written.deleted,
        "wal_bytes": written.wal_bytes,
    })
}

/// What the bars are for.
fn bars(standings: &[Standing]) -> Vec<Figure> {
    let mut figures = Vec::new();
    if let Some(best) = best(standings, |standing| standing.steps_per_second().theirs) {
        let pair = best.steps_per_second();
        figures.push(Figure {
            bench: "rivals.throughput",
            value: pair.ours,
            unit: "steps/s",
            baseline: pair.theirs,
            ratio: pair.ratio(),
            bar: THROUGHPUT_BAR,
            at_most: false,
        });
    }
    if let Some(best) = best(standings, |standing| -standing.step_ms().theirs) {
        let pair = best.step_ms();
        figures.push(Figure {
            bench: "rivals.alone",
            value: pair.ours,
            unit: "ms/step",
            baseline: pair.theirs,
            ratio: pair.ratio(),
            bar: ALONE_BAR,
            at_most: true,
        });
    }
    figures
}

/// What ours wrote, of the turns with all rivals.
fn our_written(standings: &[Standing]) -> Option<Written> {
    let turns: Vec<Turn> = standings
        .iter()
        .flat_map(|standing| standing.turns().iter().copied())
        .collect();
    written(&turns, |turn| turn.our_many.written)
}

/// The medians of what was written.
fn written(turns: &[Turn], of: fn(&Turn) -> Written) -> Option<Written> {
    let middle =
        |field: fn(Written) -> f64| median(turns.iter().map(|turn| field(of(turn))).collect());
    (!turns.is_empty()).then(|| Written {
        transactions: middle(|written| written.transactions),
        inserted: middle(|written| written.inserted),
        updated: middle(|written| written.updated),
        deleted: middle(|written| written.deleted),
        wal_bytes: middle(|written| written.wal_bytes),
    })
}

fn versions(facts: &Facts) -> String {
    let each = facts
        .packages
        .iter()
        .map(|package| format!("{package} {}", version(package)));
    each.collect::<Vec<_>>().join(", ")
}
