// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! `docs`: builds the documentation as readers get it, with warnings as errors.

use crate::error::Error;
use crate::run::{self, Task};
use crate::workspace::Workspace;

/// Builds the documentation and says where to open it.
///
/// # Errors
/// `Failed` where cargo warns or errs.
pub(crate) fn command(arguments: &[String]) -> Result<(), Error> {
    if let Some(given) = arguments.first() {
        return Err(Error::UnexpectedArgument {
            command: "docs",
            given: given.clone(),
        });
    }
    task().show()?;
    let workspace = Workspace::load()?;
    let page = workspace.target_folder.join("doc/forktex/index.html");
    run::say(&format!("docs: open {}", page.display()));
    Ok(())
}

fn task() -> Task {
    strict(Task::cargo(&[
        "doc",
        "--workspace",
        "--all-features",
        "--no-deps",
    ]))
}

/// With warnings as errors.
pub(crate) fn strict(task: Task) -> Task {
    task.variable("RUSTDOCFLAGS", "-D warnings")
}
