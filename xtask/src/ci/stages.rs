// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! What each stage of `ci` runs. clippy, features and docs share the libraries' metadata, in a target
//! folder of their own, so that cargo does not make them wait for the others; build, simulation, test,
//! examples and chaos share their code. What a group selects must turn the same features of libraries on, or
//! cargo compiles everything again.

use std::fmt::Display;
use std::path::PathBuf;
use std::thread;
use std::time::Duration;

use crate::error::Error;
use crate::run::{Captured, Task};
use crate::workspace::{self, Workspace};
use crate::{audit, chaos, demo, license, services, sim, tidy};

use super::Outcome;
use super::counts::Counts;
use super::feature_sets::{self, Round};
use super::packed::{self, Packed};

/// A short round takes some ten seconds; if one hangs, something is stuck.
const CHAOS_LIMIT: Duration = Duration::from_mins(5);

/// The demo takes seconds; if it hangs, its takeover does not work.
const EXAMPLE_LIMIT: Duration = Duration::from_mins(3);

/// For what compiles or tests everything: a slow machine, with another lane beside, may take several times as
/// long as a laptop.
const LONG_LIMIT: Duration = Duration::from_mins(45);

const NOTHING_PACKED: &str = "nothing is packed yet; type: cargo xtask ci package features docs";

/// The members, and then each package outside: `--all` would take the members with it again.
pub(super) fn format(_: &Workspace) -> Result<Outcome, Error> {
    const CHECK: [&str; 4] = ["--", "--check", "--color", "never"];
    let outside = workspace::OUTSIDE.map(|manifest| vec!["--manifest-path", manifest]);
    let mut faults = Vec::new();
    for packages in [vec!["--all"]].into_iter().chain(outside) {
        let task = Task::cargo(&[&["fmt"], &packages[..], &CHECK].concat());
        let captured = task.capture("format")?;
        if !captured.success {
            faults.push(captured.output);
        }
    }
    Ok(listed(&faults))
}

pub(super) fn tidy(_: &Workspace) -> Result<Outcome, Error> {
    tidy::faults().map(|faults| listed(&faults))
}

pub(super) fn license(_: &Workspace) -> Result<Outcome, Error> {
    let faults = license::faults(&license::source_files()?)?;
    let lines: Vec<String> = faults
        .iter()
        .map(|path| license::fault_line(path))
        .collect();
    Ok(listed(&lines))
}

pub(super) fn services(_: &Workspace) -> Result<Outcome, Error> {
    let mut notes = services::ensure(&services::FOR_TESTS)?;
    match services::ensure(&services::FOR_THE_BROWSER_TEST) {
        Ok(installed) => notes.extend(installed),
        Err(missing) => notes.push(format!("the pages of examples are not tested: {missing}")),
    }
    Ok(Outcome {
        notes,
        ..Outcome::ok()
    })
}

pub(super) fn audit(_: &Workspace) -> Result<Outcome, Error> {
    let audit = audit::audit()?;
    Ok(Outcome {
        notes: audit.notes,
        ..Outcome::of(audit.passed, audit.output)
    })
}

pub(super) fn clippy(workspace: &Workspace) -> Result<Outcome, Error> {
    let arguments = [
        "--workspace",
        "--all-targets",
        "--all-features",
        "--",
        "-D",
        "warnings",
    ];
    check(cargo("clippy", &arguments), workspace)
        .limit(LONG_LIMIT)
        .capture("clippy")
        .map(Outcome::from)
}

/// Packs what users get; `features` checks what was packed.
pub(super) fn package(workspace: &Workspace) -> Result<Outcome, Error> {
    Packed::of(workspace).lay_out(workspace).map(Outcome::from)
}

/// Round by round, on the packages as they were packed; what a set of features leaves unused is an error.
pub(super) fn features(workspace: &Workspace) -> Result<Outcome, Error> {
    let packed = Packed::of(workspace);
    if !packed.is_there() {
        return Ok(Outcome::fault(NOTHING_PACKED.to_owned()));
    }
    let rounds = feature_sets::rounds(&workspace.packages);
    let with_macros = packed::WITH_MACROS.map(str::to_owned).to_vec();
    let rounds: Vec<Vec<String>> = rounds
        .iter()
        .map(Round::arguments)
        .chain([with_macros])
        .collect();
    let mut faults = Vec::new();
    for arguments in &rounds {
        let task = packed.cargo(workspace, &["clippy"]).arguments(arguments);
        let task = task.arguments(&["--", "-D", "warnings"].map(str::to_owned));
        let captured = task.capture("features")?;
        if !captured.success {
            let asked = arguments.join(" ");
            faults.push(format!("with {asked}:\n{}", captured.output));
        }
    }
    let notes = vec![format!("{} rounds of feature sets", rounds.len())];
    Ok(Outcome {
        notes,
        ..listed(&faults)
    })
}

/// Of what was packed, too.
pub(super) fn docs(workspace: &Workspace) -> Result<Outcome, Error> {
    let packed = Packed::of(workspace);
    if !packed.is_there() {
        return Ok(Outcome::fault(NOTHING_PACKED.to_owned()));
    }
    packed
        .document(workspace)
        .capture("docs")
        .map(Outcome::from)
}

/// What `test` runs, and the programs of the examples.
pub(super) fn build(_: &Workspace) -> Result<Outcome, Error> {
    // No benchmarks: `clippy` checks those.
    let targets = ["--lib", "--bins", "--tests"];
    cargo(
        "build",
        &[&["--workspace", "--all-features"], &targets[..]].concat(),
    )
    .limit(LONG_LIMIT)
    .capture("build")
    .map(Outcome::from)
}

/// Those of the documentation are a stage of their own: they need no service, so they may run beside
/// what compiles.
pub(super) fn test(_: &Workspace) -> Result<Outcome, Error> {
    // Libraries and programs as well, but for those whose manifest says that they have no tests.
    tests("test", &["--tests"])
}

/// The examples in the documentation.
pub(super) fn doctest(_: &Workspace) -> Result<Outcome, Error> {
    tests("doctest", &["--doc"])
}

fn tests(stage: &str, targets: &[&str]) -> Result<Outcome, Error> {
    let arguments = ["--workspace", "--all-features", "--no-fail-fast"];
    let task = cargo("test", &[&arguments, targets].concat());
    let captured = task.limit(LONG_LIMIT).capture(stage)?;
    let counts = Counts::read(&captured.output);
    if captured.success && counts.none_ran() {
        return Ok(Outcome::fault(format!("{}\nno test ran", captured.output)));
    }
    Ok(Outcome {
        counts,
        ..Outcome::from(captured)
    })
}

/// The programs that end by themselves and say so: name, arguments, last line.
const EXAMPLES: [(&str, &[&str], &str); 17] = [
    (demo::EXAMPLE, &[demo::ARGUMENT], demo::LAST_LINE),
    ("agent_loop", &[], "agent_loop: ok"),
    ("approval_agent", &[], "approval_agent: ok"),
    ("branching_deploy", &[], "branching_deploy: ok"),
    ("cached", &[], "cached: ok"),
    ("jobs", &[], "jobs: ok"),
    ("onboarding", &[], "onboarding: ok"),
    ("order_saga", &[], "order_saga: ok"),
    ("rate_limit", &[], "rate_limit: ok"),
    ("registers", &["--demo"], "registers: ok"),
    ("scatter_gather", &[], "scatter_gather: ok"),
    ("scheduled_backup", &[], "scheduled_backup: ok"),
    ("sse_service", &[], "sse_service: ok"),
    ("tenant_shop", &[], "tenant_shop: ok"),
    ("tenant_workflows", &[], "tenant_workflows: ok"),
    ("uploads", &["--demo"], "uploads: ok"),
    ("virtual_registers", &[], "virtual_registers: ok"),
];

/// Runs the examples; `build` has made them.
pub(super) fn examples(workspace: &Workspace) -> Result<Outcome, Error> {
    let (mut counts, mut faults) = (Counts::default(), Vec::new());
    for (example, arguments, last_line) in EXAMPLES {
        if workspace.package_of("bin", example).is_none() {
            let problem = format!("no package has the program `{example}`");
            return Ok(Outcome::fault(problem));
        }
        let program = workspace.target_folder.join("debug").join(example);
        let task = Task::program(&program.to_string_lossy(), arguments);
        let captured = task.limit(EXAMPLE_LIMIT).capture("examples")?;
        let lines = captured.output.lines().map(str::trim_end);
        let last = lines.rev().find(|line| !line.is_empty());
        let passed = captured.success && last == Some(last_line);
        counts += Counts::one(passed);
        if !passed {
            let shown = captured.output;
            faults.push(format!(
                "{example}:\n{shown}\n(expected `{last_line}`, last)"
            ));
        }
    }
    Ok(Outcome {
        counts,
        ..Outcome::of(faults.is_empty(), faults.join("\n"))
    })
}

/// What is played at the same time: each scenario once, and each planted fault until it is found.
const CHAOS: [&[&str]; 5] = [
    &["--scenario", "points,server,proxy,leader,upgrade"],
    &["--scenario", "zombies,workers,backends,pooler,mix"],
    &["--planted", "unfenced-write", "--rounds", "20"],
    &[
        "--planted",
        "checkpoint-outside-transaction",
        "--rounds",
        "20",
    ],
    &["--planted", "signal-consumed-first", "--rounds", "20"],
];

pub(super) fn chaos(workspace: &Workspace) -> Result<Outcome, Error> {
    let program = workspace.target_folder.join("debug").join(chaos::PROGRAM);
    let program = program.to_string_lossy();
    let play = |arguments: &&[&str]| {
        let task = Task::program(&program, &["--short"]).arguments(&chaos::keep());
        let label = format!("chaos{}", arguments.concat().replace(',', "-"));
        let arguments = arguments.iter().map(|argument| (*argument).to_owned());
        let task = task.arguments(&arguments.collect::<Vec<_>>());
        task.limit(CHAOS_LIMIT).capture(&label)
    };
    let played: Vec<Result<Captured, Error>> = thread::scope(|scope| {
        let plays = CHAOS
            .iter()
            .map(|arguments| scope.spawn(|| play(arguments)));
        let plays: Vec<_> = plays.collect();
        let ends = plays.into_iter().map(|play| {
            play.join().unwrap_or_else(|_| {
                Err(Error::Failed {
                    what: "a thread".to_owned(),
                    code: 1,
                })
            })
        });
        ends.collect()
    });
    let (mut counts, mut faults, mut notes) = (Counts::default(), Vec::new(), Vec::new());
    for captured in played {
        let captured = captured?;
        counts += Counts::one(captured.success);
        if captured.success {
            notes.extend(captured.output.lines().last().map(str::to_owned));
        } else {
            faults.push(captured.output);
        }
    }
    Ok(Outcome {
        notes,
        counts,
        ..Outcome::of(faults.is_empty(), faults.join("\n"))
    })
}

pub(super) fn simulation(_: &Workspace) -> Result<Outcome, Error> {
    if !sim::is_built()? {
        let next = "the simulation is not built yet; type: cargo xtask ci build simulation";
        return Ok(Outcome::fault(next.to_owned()));
    }
    let (mut notes, mut counts) = (Vec::new(), Counts::default());
    for arguments in sim::IN_CI {
        let captured = sim::played(arguments)?;
        counts += Counts::one(captured.success);
        if !captured.success {
            return Ok(Outcome {
                counts,
                ..Outcome::from(captured)
            });
        }
        let lines = captured.output.lines();
        let last = lines.rev().find(|line| !line.trim().is_empty());
        notes.extend(last.map(str::to_owned));
    }
    Ok(Outcome {
        notes,
        counts,
        ..Outcome::ok()
    })
}

/// In the target folder of what makes no code.
pub(super) fn check(task: Task, workspace: &Workspace) -> Task {
    let folder = checks_folder(workspace);
    task.variable("CARGO_TARGET_DIR", &folder.to_string_lossy())
}

pub(super) fn checks_folder(workspace: &Workspace) -> PathBuf {
    workspace.target_folder.join("checks")
}

fn cargo(command: &str, arguments: &[&str]) -> Task {
    Task::cargo(&[&[command], arguments].concat())
}

fn listed(faults: &[impl Display]) -> Outcome {
    let lines: Vec<String> = faults.iter().map(ToString::to_string).collect();
    Outcome::of(lines.is_empty(), lines.join("\n"))
}

impl From<Captured> for Outcome {
    fn from(captured: Captured) -> Self {
        Self::of(captured.success, captured.output)
    }
}
