// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! `test`: the quick way in between. The services are made ready, then cargo runs the tests.

use crate::error::Error;
use crate::run::Task;
use crate::services;

/// Runs the tests whose names contain the filter; whatever else is given goes to cargo as it is.
///
/// # Errors
/// `Missing` where a server cannot be installed, `Failed` with cargo's own code.
pub(crate) fn command(arguments: &[String]) -> Result<(), Error> {
    services::ensure_with_notes(&services::FOR_TESTS)?;
    Task::cargo(&["test", "--workspace", "--all-features"])
        .arguments(arguments)
        .show()
}
