// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! `audit`: licences, banned crates and sources of all that we depend on, by cargo-deny, and known
//! vulnerabilities where the advisory database can be reached. cargo-deny is installed once.

use std::time::Duration;

use crate::error::Error;
use crate::run::{self, Task};

/// Builds with the pinned toolchain.
const VERSION: &str = "0.20.2";
/// Cargo-deny itself looks for a file without the dot.
const CONFIGURATION: &str = ".deny.toml";
/// Beyond this the advisory database counts as not reachable.
const FETCH_LIMIT: Duration = Duration::from_secs(30);

const NOT_REACHABLE: &str = "audit: advisory database not reachable, advisories not checked";

/// What the audit found.
pub(crate) struct Audit {
    pub(crate) passed: bool,
    pub(crate) output: String,
    /// What was not checked.
    pub(crate) notes: Vec<String>,
}

/// Runs the audit and shows what it found.
///
/// # Errors
/// `Failed` where something may not be used.
pub(crate) fn command(arguments: &[String]) -> Result<(), Error> {
    if let Some(given) = arguments.first() {
        return Err(Error::UnexpectedArgument {
            command: "audit",
            given: given.clone(),
        });
    }
    let audit = audit()?;
    run::say(audit.output.trim_end());
    for line in audit.notes {
        run::say(&line);
    }
    if audit.passed {
        Ok(())
    } else {
        Err(Error::Failed {
            what: "audit".to_owned(),
            code: 1,
        })
    }
}

/// The same for `ci`.
///
/// # Errors
/// `Missing` where cargo-deny cannot be installed.
pub(crate) fn audit() -> Result<Audit, Error> {
    let mut notes = Vec::new();
    if Task::cargo(&["deny", "--version"]).answer().is_none() {
        notes.push(install()?);
    }
    let fetch = deny(&["fetch", "db"])
        .limit(FETCH_LIMIT)
        .capture("audit-fetch")?;
    let mut checks = vec![
        "check",
        "--hide-inclusion-graph",
        "bans",
        "licenses",
        "sources",
    ];
    if fetch.success {
        checks.push("advisories");
    } else {
        notes.push(NOT_REACHABLE.to_owned());
    }
    let checked = deny(&checks).capture("audit")?;
    Ok(Audit {
        passed: checked.success,
        output: checked.output,
        notes,
    })
}

fn install() -> Result<String, Error> {
    run::note("audit: cargo-deny is missing: installing it once, about 2 minutes on 2 cores");
    // Not optimised: it runs for seconds, and takes half the time to build.
    let install = [
        "install",
        "--locked",
        "--debug",
        "cargo-deny",
        "--version",
        VERSION,
    ];
    let install = Task::cargo(&install);
    let installed = install.capture("audit-install-cargo-deny")?;
    if installed.success {
        return Ok(format!("audit: installed cargo-deny {VERSION}"));
    }
    run::note(&installed.output);
    Err(Error::Missing {
        what: "cargo-deny is".to_owned(),
        remedy: format!("type: cargo install --locked cargo-deny --version {VERSION}"),
    })
}

fn deny(arguments: &[&str]) -> Task {
    Task::cargo(&[&["deny", "--config", CONFIGURATION], arguments].concat())
}
