// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! `sim`: builds the simulation of forktex-flow and plays the worlds of many seeds, or one again.

use std::path::PathBuf;
use std::time::Duration;

use crate::error::Error;
use crate::run::{Captured, Task};
use crate::workspace::Workspace;

const PACKAGE: &str = "forktex-simulation";
/// The profile that it is built in, whose name is that of its folder as well.
const PROFILE: &str = "simulation";
/// The folder of what `ci` builds.
const PROFILE_IN_CI: &str = "debug";

/// What `ci` plays: many worlds; some of them twice, to see that a seed gives the same world again; and
/// those of an engine that is wrong on purpose, to see that the checker finds it.
pub(crate) const IN_CI: [&[&str]; 5] = [
    &["--seeds", "10000"],
    &["--seeds", "300", "--twice"],
    &["--planted", "unfenced-write"],
    &["--planted", "checkpoint-outside-transaction"],
    &["--planted", "signal-consumed-first"],
];

/// How long one of these may take.
const LIMIT: Duration = Duration::from_mins(20);

/// Plays what the arguments say; the simulation itself reads them.
///
/// # Errors
/// `Failed` where a guarantee was broken, or a planted fault was not found.
pub(crate) fn command(arguments: &[String]) -> Result<(), Error> {
    build().show()?;
    program(PROFILE)?.arguments(arguments).show()
}

/// Plays what the arguments say with the program that `ci` has built among all else: slower than the
/// optimised one, and sooner ready. Its output goes to a log.
///
/// # Errors
/// `NotStarted` or `File`.
pub(crate) fn played(arguments: &[&str]) -> Result<Captured, Error> {
    let arguments: Vec<String> = arguments.iter().map(|word| (*word).to_owned()).collect();
    program(PROFILE_IN_CI)?
        .arguments(&arguments)
        .limit(LIMIT)
        .capture("simulation")
}

/// Whether `ci` has built it.
///
/// # Errors
/// `Metadata`.
pub(crate) fn is_built() -> Result<bool, Error> {
    Ok(path(PROFILE_IN_CI)?.is_file())
}

fn build() -> Task {
    let arguments = [
        "build",
        "--quiet",
        "--package",
        PACKAGE,
        "--profile",
        PROFILE,
    ];
    Task::cargo(&arguments)
}

fn program(profile: &str) -> Result<Task, Error> {
    Ok(Task::program(&path(profile)?.to_string_lossy(), &[]))
}

fn path(profile: &str) -> Result<PathBuf, Error> {
    let folder = Workspace::load()?.target_folder.join(profile);
    Ok(folder.join(PACKAGE))
}
