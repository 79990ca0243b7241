// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! `ci`: all that a change must pass, the same on a laptop and on a build server.
//!
//! One line a stage, with its time; a stage that fails prints its output in full. The stages after
//! a failed one still run, so that one run tells all, except those that would only say the same
//! again. The last line is `N passed, N failed`: the tests.

mod counts;
mod feature_sets;
mod stages;

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

/// Cheap ones first; then those that share what they compile, next to each other.
const STAGES: [Stage; 14] = [
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
        name: "features",
        run: stages::features,
        skipped_after: &["clippy"],
    },
    Stage {
        name: "docs",
        run: stages::docs,
        skipped_after: &[],
    },
    Stage {
        name: "build",
        run: stages::build,
        skipped_after: &[],
    },
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
        name: "simulation",
        run: stages::simulation,
        skipped_after: &["build"],
    },
    Stage {
        name: "chaos",
        run: stages::chaos,
        skipped_after: &["services", "build"],
    },
    Stage {
        name: "package",
        run: stages::package,
        skipped_after: &["build"],
    },
];

/// Runs all stages, or those named.
///
/// # Errors
/// `Unknown` for a stage that does not exist, `Told` where a stage failed.
pub(crate) fn command(arguments: &[String]) -> Result<(), Error> {
    if let Some(given) = arguments.iter().find(|given| !is_stage(given)) {
        let known = STAGES.iter().map(|stage| stage.name.to_owned()).collect();
        return Err(Error::Unknown {
            what: "stage",
            given: given.clone(),
            known,
        });
    }
    let workspace = Workspace::load()?;
    let begun = Instant::now();
    let mut failed: Vec<&'static str> = Vec::new();
    let mut counts = Counts::default();
    for stage in &STAGES {
        if !arguments.is_empty() && !arguments.iter().any(|named| named == stage.name) {
            continue;
        }
        if let Some(cause) = stage
            .skipped_after
            .iter()
            .find(|cause| failed.contains(cause))
        {
            run::say(&format!("--   {:<10} skipped: {cause} failed", stage.name));
            failed.push(stage.name);
            continue;
        }
        let outcome = run_stage(stage, &workspace);
        counts += outcome.counts;
        if !outcome.passed {
            failed.push(stage.name);
        }
    }
    run::say(&format!(
        "\n{}, {:.0}s in all",
        verdict(&failed),
        begun.elapsed().as_secs_f32()
    ));
    run::say(&counts.to_string());
    if failed.is_empty() {
        Ok(())
    } else {
        Err(Error::Told)
    }
}

fn is_stage(name: &str) -> bool {
    STAGES.iter().any(|stage| stage.name == name)
}

fn run_stage(stage: &Stage, workspace: &Workspace) -> Outcome {
    let begun = Instant::now();
    let outcome = (stage.run)(workspace).unwrap_or_else(|error| Outcome::fault(error.to_string()));
    let mark = if outcome.passed { "ok" } else { "FAIL" };
    let seconds = begun.elapsed().as_secs_f32();
    let line = format!("{mark:<4} {:<10} {seconds:>6.1}s", stage.name);
    if !outcome.passed {
        run::say(&"-".repeat(72));
        run::say(outcome.output.trim_end());
    }
    run::say(&line);
    for note in &outcome.notes {
        run::say(&format!("     {note}"));
    }
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
        for (at, stage) in STAGES.iter().enumerate() {
            for cause in stage.skipped_after {
                let before = STAGES[..at].iter().any(|earlier| earlier.name == *cause);
                assert!(before, "{} waits for {cause}", stage.name);
            }
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
