// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! `chaos`: murders worker processes and their server while they work, and judges what is left. With
//! `--json` standard output has the program's lines alone: our own go to standard error.

use crate::error::Error;
use crate::run::{self, Task};
use crate::services;
use crate::workspace;

/// The program, which is no test: `cargo test` does not run it.
pub(crate) const PROGRAM: &str = "chaos";

const TARGET: [&str; 6] = [
    "--package",
    "forktex-tests",
    "--features",
    "chaos",
    "--bin",
    PROGRAM,
];

/// Runs the program with the arguments handed on.
///
/// # Errors
/// `Missing` where a server cannot be installed, `Failed` with the program's own code: 1 for a
/// violation, 2 for an option that there is not.
pub(crate) fn command(arguments: &[String]) -> Result<(), Error> {
    services::ensure_with_notes(&services::FOR_TESTS)?;
    run::note("chaos: building; the first time takes a few minutes");
    let build: Vec<&str> = ["build", "--quiet"].into_iter().chain(TARGET).collect();
    Task::cargo(&build).show()?;
    let start: Vec<&str> = ["run", "--quiet"]
        .into_iter()
        .chain(TARGET)
        .chain(["--"])
        .collect();
    Task::cargo(&start)
        .arguments(&keep())
        .arguments(arguments)
        .show()
}

/// Where the program keeps what tells of a violation.
pub(crate) fn keep() -> [String; 2] {
    let folder = workspace::scratch_folder().join("chaos");
    ["--keep".to_owned(), folder.display().to_string()]
}
