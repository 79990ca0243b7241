// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! `demo`: builds and runs the deploy pipeline, which kills its own worker and watches another
//! take over. The last line is the example's own: `demo: ok`.

use crate::error::Error;
use crate::run::{self, Task};
use crate::services;

/// The example that shows what the library is for.
pub(crate) const EXAMPLE: &str = "deploy_pipeline";
/// The argument that makes it run by itself, start to end.
pub(crate) const ARGUMENT: &str = "demo";
/// The last line of a run that went well.
pub(crate) const LAST_LINE: &str = "demo: ok";

const PACKAGE: [&str; 4] = ["--package", "forktex-examples", "--bin", EXAMPLE];

/// Runs the demo, on servers of its own.
///
/// # Errors
/// `Missing` where a server cannot be installed, `Failed` with the demo's own code.
pub(crate) fn command(arguments: &[String]) -> Result<(), Error> {
    if let Some(given) = arguments.first() {
        return Err(Error::UnexpectedArgument {
            command: "demo",
            given: given.clone(),
        });
    }
    services::ensure_with_notes(&services::FOR_DEMO)?;
    run::note("demo: building the example; the first time takes a few minutes");
    let build: Vec<&str> = ["build"].into_iter().chain(PACKAGE).collect();
    Task::cargo(&build).show()?;
    let start: Vec<&str> = ["run", "--quiet"]
        .into_iter()
        .chain(PACKAGE)
        .chain(["--", ARGUMENT])
        .collect();
    Task::cargo(&start).show()
}
