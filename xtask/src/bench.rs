// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! `bench`: runs a benchmark in release mode, or lists what there is. With `--json` standard
//! output has the benchmark's lines alone: our own go to standard error.

mod other_languages;

use crate::error::Error;
use crate::run::{self, Task};
use crate::services;
use crate::workspace::{self, Workspace};

/// The benchmark that is outside the workspace, since nothing of ours may depend on a rival.
const RIVALS: &str = "rivals";

/// The same for the queue, whose rivals are of other languages.
const QUEUE_RIVALS: &str = "queue-rivals";

/// Runs the benchmark named first, with the other arguments handed on.
///
/// # Errors
/// `Unknown` with the names there are, `Missing`, or `Failed` with the benchmark's own code.
pub(crate) fn command(arguments: &[String]) -> Result<(), Error> {
    let workspace = Workspace::load()?;
    let Some((name, rest)) = arguments.split_first() else {
        list(&workspace);
        return Ok(());
    };
    if name == RIVALS {
        return rivals(rest);
    }
    if name == QUEUE_RIVALS {
        return queue_rivals(rest);
    }
    let Some(package) = workspace.package_of("bench", name) else {
        let known = names(&workspace)
            .into_iter()
            .map(|(name, _)| name)
            .collect();
        return Err(Error::Unknown {
            what: "benchmark",
            given: name.clone(),
            known,
        });
    };
    services::ensure_with_notes(&services::FOR_BENCHMARKS)?;

    // A benchmark of what a feature adds is a target with that feature alone.
    let package = package.name.as_str();
    let target = ["--package", package, "--all-features", "--bench", name];
    run::note(&format!(
        "bench {name}: building in release mode; the first time takes minutes"
    ));
    let build: Vec<&str> = ["bench", "--no-run"].into_iter().chain(target).collect();
    Task::cargo(&build).show()?;
    let start: Vec<&str> = ["bench", "--quiet"]
        .into_iter()
        .chain(target)
        .chain(["--"])
        .collect();
    Task::cargo(&start).arguments(rest).show()
}

/// Builds and runs the comparison with the rivals.
fn rivals(arguments: &[String]) -> Result<(), Error> {
    services::ensure_with_notes(&services::FOR_BENCHMARKS)?;
    run::note("bench rivals: building in release mode; the first time takes ten minutes or more");
    let package = ["--release", "--manifest-path", workspace::RIVALS_MANIFEST];
    let features: &[&str] = if lacks_openssl() {
        run::note(
            "bench rivals: without duroxide-pg; for it type: apt-get install -y libssl-dev pkg-config",
        );
        &["--no-default-features"]
    } else {
        &[]
    };
    let build = [&["build"], &package[..], features].concat();
    Task::cargo(&build).show()?;
    let start = [&["run", "--quiet"], &package[..], features, &["--"]].concat();
    Task::cargo(&start).arguments(arguments).show()
}

/// Installs the rivals of the queue, and builds and runs the comparison with them.
fn queue_rivals(arguments: &[String]) -> Result<(), Error> {
    services::ensure_with_notes(&[services::Service::Redis])?;
    let rivals = other_languages::install();
    run::note("bench queue-rivals: building in release mode; the first time takes minutes");
    let package = [
        "--release",
        "--manifest-path",
        workspace::QUEUE_RIVALS_MANIFEST,
    ];
    Task::cargo(&[&["build"], &package[..]].concat()).show()?;
    let start = [&["run", "--quiet"], &package[..], &["--"]].concat();
    let mut start = Task::cargo(&start).arguments(arguments);
    for (variable, value) in &rivals {
        start = start.variable(variable, value);
    }
    start.show()
}

/// One rival's driver is built against the system's OpenSSL on Linux.
fn lacks_openssl() -> bool {
    let found = Task::program("pkg-config", &["--exists", "openssl"]).answer();
    cfg!(target_os = "linux") && found.is_none()
}

fn list(workspace: &Workspace) {
    let names = names(workspace);
    run::say("Benchmarks: cargo xtask bench <name> [--json] [..]\n");
    for (name, package) in names {
        run::say(&format!("  {name:<12} of {package}"));
    }
}

fn names(workspace: &Workspace) -> Vec<(String, String)> {
    let targets = workspace
        .packages
        .iter()
        .flat_map(|package| package.targets.iter().map(move |target| (package, target)));
    targets
        .filter(|(_, target)| target.kind == "bench")
        .map(|(package, target)| (target.name.clone(), package.name.clone()))
        .chain([
            (RIVALS.to_owned(), workspace::RIVALS_MANIFEST.to_owned()),
            (
                QUEUE_RIVALS.to_owned(),
                workspace::QUEUE_RIVALS_MANIFEST.to_owned(),
            ),
        ])
        .collect()
}
