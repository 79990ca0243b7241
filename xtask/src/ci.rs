// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! `ci`: all that a change must pass, the same on a laptop and on a build server.
//!
//! One line a stage, with its time, beside another lane's stages where there are lanes; a stage that fails
//! prints its output in full. The stages after a failed one still run, so that one run tells all, except
//! those that would only say the same again. The last line is `N passed, N failed`: the tests.

mod counts;
mod feature_sets;
mod packed;
mod stages;

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Instant;

use crate::error::Error;
use crate::run;
use crate::workspace::Workspace;

use counts::Counts;

/// A part of the whole, with a name to ask for it alone.
struct Stage {
    name: &'static str,
    run: fn(&Workspace) -> Result<Outcome, Error>,
    /// Where one of these failed, this one would only fail for the same reason.
    skipped_after: &'static [&'static str],
}

/// How a stage went.
struct Outcome {
    passed: bool,
    output: String,
    /// Worth a line even where the stage passed.
    notes: Vec<String>,
    counts: Counts,
}

/// What takes seconds.
const QUICK: [Stage; 4] = [
    Stage {
        name: "format",
        run: stages::format,
        skipped_after: &[],
    },
    Stage {
        name: "tidy",
        run: stages::tidy,
        skipped_after: &[],
    },
    Stage {
        name: "license",
        run: stages::license,
        skipped_after: &[],
    },
    Stage {
        name: "services",
        run: stages::services,
        skipped_after: &[],
    },
];

/// What compiles metadata alone, in a target folder of its own.
const CHECKS: [Stage; 5] = [
    Stage {
        name: "audit",
        run: stages::audit,
        skipped_after: &[],
    },
    Stage {
        name: "clippy",
        run: stages::clippy,
        skipped_after: &[],
    },
    Stage {
        name: "package",
        run: stages::package,
        skipped_after: &[],
    },
    Stage {
        name: "features",
        run: stages::features,
        skipped_after: &["clippy", "package"],
    },
    Stage {
        name: "docs",
        run: stages::docs,
        skipped_after: &["package"],
    },
];

/// What compiles code, and plays what needs no service.
const PROGRAMS: [Stage; 3] = [
    Stage {
        name: "build",
        run: stages::build,
        skipped_after: &[],
    },
    Stage {
        name: "simulation",
        run: stages::simulation,
        skipped_after: &["build"],
    },
    Stage {
        name: "doctest",
        run: stages::doctest,
        skipped_after: &["build"],
    },
];

/// What runs code against services, with the machine for itself.
const RUNS: [Stage; 3] = [
    Stage {
        name: "test",
        run: stages::test,
        skipped_after: &["services", "build"],
    },
    Stage {
        name: "examples",
        run: stages::examples,
        skipped_after: &["services", "build"],
    },
    Stage {
        name: "chaos",
        run: stages::chaos,
        skipped_after: &["services", "build"],
    },
];

/// Wave by wave; the lanes of one run side by side, since a compiler has a single thread for much of its
/// time.
const WAVES: [&[&[Stage]]; 3] = [&[&QUICK], &[&CHECKS, &PROGRAMS], &[&RUNS]];

/// Runs all stages, or those named.
///
/// # Errors
/// `Unknown` for a stage that does not exist, `Told` where a stage failed.
pub(crate) fn command(arguments: &[String]) -> Result<(), Error> {
    if let Some(given) = arguments.iter().find(|given| !is_stage(given)) {
        let known = stages().map(|stage| stage.name.to_owned()).collect();
        return Err(Error::Unknown {
            what: "stage",
            given: given.clone(),
            known,
        });
    }
    let workspace = Workspace::load()?;
    let begun = Instant::now();
    let tally = Tally::default();
    for lanes in WAVES {
        thread::scope(|scope| {
            for lane in lanes {
                scope.spawn(|| run_lane(lane, arguments, &workspace, &tally));
            }
        });
    }
    let failed = tally.failed();
    run::say(&format!(
        "\n{}, {:.0}s in all",
        verdict(&failed),
        begun.elapsed().as_secs_f32()
    ));
    run::say(&tally.counts().to_string());
    if failed.is_empty() {
        Ok(())
    } else {
        Err(Error::Told)
    }
}

/// How all went so far, in all lanes.
#[derive(Default)]
struct Tally {
    state: Mutex<(Vec<&'static str>, Counts)>,
}

impl Tally {
    fn locked(&self) -> MutexGuard<'_, (Vec<&'static str>, Counts)> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn failed(&self) -> Vec<&'static str> {
        self.locked().0.clone()
    }

    fn counts(&self) -> Counts {
        self.locked().1
    }

    fn add(&self, name: &'static str, passed: bool, counts: Counts) {
        let mut state = self.locked();
        if !passed {
            state.0.push(name);
        }
        state.1 += counts;
    }
}

/// Runs those stages of a lane that are named, or all where none is, one after the other.
fn run_lane(lane: &[Stage], named: &[String], workspace: &Workspace, tally: &Tally) {
    for stage in lane {
        if !named.is_empty() && !named.iter().any(|name| name == stage.name) {
            continue;
        }
        let failed = tally.failed();
        let cause = stage
            .skipped_after
            .iter()
            .find(|cause| failed.contains(cause));
        if let Some(cause) = cause {
            run::say(&format!("--   {:<10} skipped: {cause} failed", stage.name));
            tally.add(stage.name, false, Counts::default());
            continue;
        }
        let outcome = run_stage(stage, workspace);
        tally.add(stage.name, outcome.passed, outcome.counts);
    }
}

fn stages() -> impl Iterator<Item = &'static Stage> {
    WAVES.into_iter().flatten().copied().flatten()
}

fn is_stage(name: &str) -> bool {
    stages().any(|stage| stage.name == name)
}

fn run_stage(stage: &Stage, workspace: &Workspace) -> Outcome {
    let begun = Instant::now();
    let outcome = (stage.run)(workspace).unwrap_or_else(|error| Outcome::fault(error.to_string()));
    let mark = if outcome.passed { "ok" } else { "FAIL" };
    let seconds = begun.elapsed().as_secs_f32();
    let mut lines = vec![format!("{mark:<4} {:<10} {seconds:>6.1}s", stage.name)];
    if !outcome.passed {
        let shown = [&"-".repeat(72), outcome.output.trim_end()].map(str::to_owned);
        lines.splice(0..0, shown);
    }
    lines.extend(outcome.notes.iter().map(|note| format!("     {note}")));
    // At once, so that no line of another lane comes between.
    run::say(&lines.join("\n"));
    outcome
}

fn verdict(failed: &[&str]) -> String {
    if failed.is_empty() {
        "all ok".to_owned()
    } else {
        format!("failed: {}", failed.join(", "))
    }
}

impl Outcome {
    fn ok() -> Self {
        Self::of(true, String::new())
    }

    fn fault(output: String) -> Self {
        Self::of(false, output)
    }

    fn of(passed: bool, output: String) -> Self {
        Self {
            passed,
            output,
            notes: Vec::new(),
            counts: Counts::default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stage_is_skipped_only_after_one_that_comes_before_it() {
        let mut waves_before: Vec<&str> = Vec::new();
        for lanes in WAVES {
            for lane in lanes {
                for (at, stage) in lane.iter().enumerate() {
                    for cause in stage.skipped_after {
                        let in_lane = lane[..at].iter().any(|earlier| earlier.name == *cause);
                        let before = in_lane || waves_before.contains(cause);
                        assert!(before, "{} waits for {cause}", stage.name);
                    }
                }
            }
            let of_wave = lanes.iter().copied().flatten().map(|stage| stage.name);
            waves_before.extend(of_wave);
        }
    }

    #[test]
    fn an_unknown_stage_is_named_with_the_nearest_one() {
        let error = command(&["clipy".to_owned()]).unwrap_err();
        assert_eq!(
            error.to_string(),
            "there is no stage `clipy`; did you mean `clippy`?"
        );
    }
}
