// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! What is printed: a line a round, and at the end a table and the points where processes died; or JSON,
//! one object a line.

use std::process::ExitCode;
use std::time::Duration;

use forktex::flow::failpoint;
use forktex::flow::planted::PlantedFault;
use serde_json::json;

use crate::again;
use crate::crew::{SharedCoverage, locked};
use crate::judge;
use crate::options::Options;
use crate::round::{Report, Round, log_path};
use crate::scenario::Scenario;

pub(crate) struct Show {
    is_json: bool,
    planted: Option<PlantedFault>,
    rows: Vec<Row>,
    rounds: u32,
    violations: usize,
    /// Whether the check that the planted fault is for has found it.
    is_found: bool,
}

/// What came of all rounds of one scenario.
struct Row {
    scenario: Scenario,
    rounds: u32,
    runs: i64,
    bodies: i64,
    deaths: u32,
    violations: usize,
    longest_rest: Duration,
}

impl Show {
    pub(crate) fn new(options: &Options) -> Self {
        let show = Self {
            is_json: options.is_json,
            planted: options.planted,
            is_found: false,
            rows: Vec::new(),
            rounds: 0,
            violations: 0,
        };
        if !show.is_json {
            let count = options.rounds().len();
            let planted = options
                .planted
                .map(|fault| format!(", planted: {}", fault.as_str()));
            let planted = planted.unwrap_or_default();
            println!("chaos: {count} rounds from seed {}{planted}", options.seed);
        }
        show
    }

    pub(crate) fn round(&mut self, number: u32, round: &Round, report: &Report, took: Duration) {
        self.rounds = number;
        self.violations += report.violations.len();
        self.is_found |= self.planted.is_some_and(|fault| report.finds(fault));
        self.add(round, report);
        if self.is_json {
            self.round_as_json(number, round, report, took);
            return;
        }
        let verdict = match report.violations.len() {
            0 => "ok".to_owned(),
            count => format!("{count} VIOLATIONS"),
        };
        println!(
            "round {number:>3}  seed {:<7} {:<9} {:>5.1}s  runs {:>4}  entries {:>5}  bodies {:>5}  deaths {:>3}  at rest after {:>4.1}s  {verdict}",
            round.seed,
            round.scenario.name(),
            took.as_secs_f32(),
            report.runs,
            report.entries,
            report.bodies,
            report.deaths,
            report.settled_in.as_secs_f32(),
        );
        for violation in &report.violations {
            let instance = violation.instance.as_deref().unwrap_or("-");
            println!("    {}: {instance}: {}", violation.check, violation.what);
        }
        for line in &report.histories {
            println!("    {line}");
        }
        if !report.violations.is_empty() {
            let log = log_path(&round.kept_in, round.seed);
            println!("    the server's log: {}", log.display());
            println!("    {}", again(round));
        }
    }

    fn round_as_json(&self, number: u32, round: &Round, report: &Report, took: Duration) {
        let violations: Vec<_> = report
            .violations
            .iter()
            .map(|violation| json!({"check": violation.check, "run": violation.instance, "what": violation.what}))
            .collect();
        println!(
            "{}",
            json!({
                "round": number, "seed": round.seed, "scenario": round.scenario.name(),
                "planted": self.planted.map(PlantedFault::as_str), "seconds": took.as_secs_f32(), "runs": report.runs,
                "entries": report.entries, "bodies": report.bodies, "deaths": report.deaths,
                "settled_seconds": report.settled_in.as_secs_f32(), "violations": violations,
            })
        );
    }

    fn add(&mut self, round: &Round, report: &Report) {
        let place = self
            .rows
            .iter()
            .position(|row| row.scenario == round.scenario);
        let place = place.unwrap_or_else(|| {
            self.rows.push(Row {
                scenario: round.scenario,
                rounds: 0,
                runs: 0,
                bodies: 0,
                deaths: 0,
                violations: 0,
                longest_rest: Duration::ZERO,
            });
            self.rows.len() - 1
        });
        let row = &mut self.rows[place];
        row.rounds += 1;
        row.runs += report.runs;
        row.bodies += report.bodies;
        row.deaths += report.deaths;
        row.violations += report.violations.len();
        row.longest_rest = row.longest_rest.max(report.settled_in);
    }

    /// The end of it. Success is no violation, or, where a fault was planted, one that was found.
    pub(crate) fn end(&self, coverage: &SharedCoverage) -> ExitCode {
        let coverage = locked(coverage);
        let points = failpoint::points();
        let of = |wanted: fn(crate::crew::Seen) -> bool| -> Vec<&'static str> {
            let chosen = points.iter().filter(|point| wanted(coverage.of(point)));
            chosen.copied().collect()
        };
        let reached = of(|seen| seen.reached > 0);
        let died = of(|seen| seen.died > 0);
        let spared = of(|seen| seen.reached > 0 && seen.died == 0);
        let has_passed = match self.planted {
            None => self.violations == 0,
            Some(_) => self.is_found,
        };
        if self.is_json {
            println!(
                "{}",
                json!({
                    "rounds": self.rounds, "violations": self.violations, "passed": has_passed,
                    "points": points.len(), "points_reached": reached.len(),
                    "points_died_at": died.len(), "points_spared": spared,
                })
            );
        } else {
            self.table();
            println!(
                "\npoints where a process may die: {}; workers came to {}; they died at {}",
                points.len(),
                reached.len(),
                died.len()
            );
            if !spared.is_empty() {
                println!("none died at: {}", spared.join(", "));
            }
            let far = of(|seen| seen.reached == 0);
            if !far.is_empty() {
                println!("no worker came to: {}", far.join(", "));
            }
            println!("{}", self.verdict());
        }
        if has_passed {
            ExitCode::SUCCESS
        } else {
            ExitCode::FAILURE
        }
    }

    fn table(&self) {
        println!(
            "\n{:<10} {:>6} {:>7} {:>7} {:>7} {:>15} {:>11}",
            "scenario", "rounds", "runs", "bodies", "deaths", "longest rest", "violations"
        );
        for row in &self.rows {
            println!(
                "{:<10} {:>6} {:>7} {:>7} {:>7} {:>14.1}s {:>11}",
                row.scenario.name(),
                row.rounds,
                row.runs,
                row.bodies,
                row.deaths,
                row.longest_rest.as_secs_f32(),
                row.violations
            );
        }
    }

    fn verdict(&self) -> String {
        let (rounds, checks) = (self.rounds, judge::count());
        match self.planted {
            None if self.violations == 0 => {
                format!("chaos: {rounds} rounds, {checks} checks each, no violation")
            }
            None => format!("chaos: {} violations in {rounds} rounds", self.violations),
            Some(fault) => {
                let (name, check) = (fault.as_str(), judge::meant_for(fault));
                if self.is_found {
                    format!("chaos: {name} was found in round {rounds}, by: {check}")
                } else {
                    format!("chaos: {name} was NOT found in {rounds} rounds, by: {check}")
                }
            }
        }
    }
}
