// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! What is printed of a campaign, for people or for machines.

use std::io::Write;

use forktex_flow::planted::PlantedFault;
use serde_json::json;

use crate::campaign::{Broken, Campaign, Outcome};
use crate::checker::Violation;
use crate::history::History;

/// The most violations of one seed that are printed; the others are mostly of the same cause.
const VIOLATIONS_MAX: usize = 10;

/// What cannot be printed is nothing that the simulation could do about.
fn say(text: &str) {
    let _ = writeln!(std::io::stdout(), "{text}");
}

pub(crate) fn complain(text: &str) {
    let _ = writeln!(std::io::stderr(), "sim: {text}");
}

pub(crate) fn campaign(campaign: Campaign, outcome: &Outcome, is_json: bool) {
    if is_json {
        lines(campaign, outcome);
    } else {
        table(outcome);
    }
    if let Some(broken) = &outcome.broken {
        tell_broken(broken, campaign.planted);
    }
    let seconds = outcome.took.as_secs_f64();
    let verdict = match (campaign.planted, &outcome.broken) {
        (None, None) => "no guarantee was broken".to_owned(),
        (None, Some(broken)) => format!("seed {} broke a guarantee", broken.seed),
        (Some(fault), Some(broken)) => format!("found {} at seed {}", fault.as_str(), broken.seed),
        (Some(fault), None) => format!("{} was NOT found", fault.as_str()),
    };
    if !is_json {
        say(&format!(
            "{} seeds in {seconds:.1} s: {verdict}",
            outcome.played
        ));
    }
}

fn table(outcome: &Outcome) {
    let lines: Vec<(&str, u64)> = outcome.tally.lines().collect();
    let width = lines
        .iter()
        .map(|(what, _)| what.len())
        .max()
        .unwrap_or_default();
    for (what, count) in lines {
        say(&format!("  {what:<width$}  {count:>10}"));
    }
}

fn lines(campaign: Campaign, outcome: &Outcome) {
    let counts: serde_json::Map<String, serde_json::Value> = outcome
        .tally
        .lines()
        .map(|(what, count)| (what.to_owned(), json!(count)))
        .collect();
    let line = json!({
        "seeds": outcome.played,
        "from": campaign.from,
        "seconds": outcome.took.as_secs_f64(),
        "planted": campaign.planted.map(PlantedFault::as_str),
        "broken_seed": outcome.broken.as_ref().map(|broken| broken.seed),
        "counts": counts,
    });
    say(&line.to_string());
}

fn tell_broken(broken: &Broken, planted: Option<PlantedFault>) {
    let seed = broken.seed;
    say(&format!("\nseed {seed} broke a guarantee:"));
    violations(&broken.violations);
    let run = broken.violations.iter().find_map(|violation| violation.run);
    if let Some(history) = &broken.history {
        say("\nwhat happened to it:");
        say(&run.map_or_else(|| history.text(), |run| history.text_of(run)));
    }
    say(&format!("to play it again: {}\n", again(seed, planted)));
}

/// The command that plays a seed again.
fn again(seed: u64, planted: Option<PlantedFault>) -> String {
    let planted = planted.map(|fault| format!(" --planted {}", fault.as_str()));
    let planted = planted.unwrap_or_default();
    format!("cargo xtask sim --seed {seed}{planted}")
}

/// A world that does not come to an end.
pub(crate) fn hung(seed: u64, planted: Option<PlantedFault>) {
    say(&format!(
        "\nseed {seed} goes round in a circle: something is due over and over, and no time passes\n\
         to play it again, for a debugger: {}",
        again(seed, planted)
    ));
}

fn violations(violations: &[Violation]) {
    for violation in violations.iter().take(VIOLATIONS_MAX) {
        let run = violation
            .run
            .map(|run| format!("run {run}: "))
            .unwrap_or_default();
        say(&format!(
            "  {}\n    {run}{}",
            violation.guarantee.words(),
            violation.detail
        ));
    }
    if let Some(more) = violations
        .len()
        .checked_sub(VIOLATIONS_MAX)
        .filter(|more| *more > 0)
    {
        say(&format!("  and {more} more"));
    }
}

/// The whole history of one seed, and what is wrong with it.
pub(crate) fn replay(history: Option<&History>, found: &[Violation]) {
    if let Some(history) = history {
        say(&history.text());
        say(&format!(
            "seed {}, history {}",
            history.seed,
            history.digest()
        ));
    }
    if found.is_empty() {
        say("no guarantee was broken");
    } else {
        violations(found);
    }
}
