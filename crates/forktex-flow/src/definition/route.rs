// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! Where a run goes on: the answers that a router of a graph gives.

use std::error::Error;

use crate::error::StepError;
use crate::error::failure::StepFailure;

/// The answers of a router: an enum whose variants hold nothing. Derive it.
///
/// # Examples
/// ```
/// use forktex_flow::prelude::*;
///
/// #[derive(Route)]
/// enum Verdict {
///     Failed,
///     Healthy,
/// }
///
/// assert_eq!(Verdict::BRANCHES, ["Failed", "Healthy"]);
/// assert_eq!(Verdict::Failed.branch(), "Failed");
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not the answer of a router",
    label = "not a route",
    note = "write `#[derive(Route)]` on an enum whose variants hold nothing"
)]
pub trait Route: Send + 'static {
    /// The names of all answers, in their declared order.
    const BRANCHES: &'static [&'static str];

    /// The name of this answer. Journals keep it, so that a renamed variant is another branch.
    fn branch(&self) -> &'static str;
}

/// What a router returns: a [`Route`], or a `Result` of one.
#[diagnostic::on_unimplemented(
    message = "a router cannot return `{Self}`",
    label = "return an enum that derives `Route`, or a `Result` of one"
)]
pub trait Choice {
    /// The answers.
    type Route: Route;

    /// The answer, or why there is none.
    ///
    /// # Errors
    /// The router's own error.
    fn choose(self) -> Result<Self::Route, StepFailure>;
}

impl<R: Route> Choice for R {
    type Route = R;

    fn choose(self) -> Result<R, StepFailure> {
        Ok(self)
    }
}

impl<R: Route, E: Into<Box<dyn Error + Send + Sync>>> Choice for Result<R, E> {
    type Route = R;

    fn choose(self) -> Result<R, StepFailure> {
        self.map_err(|error| StepError::new(error).into_failure())
    }
}
