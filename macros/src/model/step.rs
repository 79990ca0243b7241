// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! A step: its state, its resources, its retry options. The signature is checked part by part, and
//! each message shows the whole of what is expected.

mod signature;

use syn::{ItemFn, Type};

use super::retry::{self, Retry};
use crate::diagnostics::Diagnostics;
use crate::parse::step::StepOptions;
use crate::root::Root;

/// A checked step.
#[derive(Debug)]
pub(crate) struct Step {
    pub(crate) state: Type,
    pub(crate) form: StateForm,
    pub(crate) resources: Vec<Type>,
    pub(crate) output: Type,
    pub(crate) retry: Retry,
    pub(crate) root: Root,
}

/// How the body takes the state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum StateForm {
    /// `&S`
    Reference,
    /// `S`
    Owned,
    /// `Arc<S>`
    Shared,
}

/// Checks a step. `None` when its signature is of no use; the errors tell why.
pub(crate) fn check(
    options: StepOptions,
    function: &ItemFn,
    root: Root,
    diagnostics: &mut Diagnostics,
) -> Option<Step> {
    let retry = retry::check(options.retry, diagnostics);
    let signature = signature::check(&function.sig, diagnostics)?;
    Some(Step {
        state: signature.state,
        form: signature.form,
        resources: signature.resources,
        output: signature.output,
        retry,
        root,
    })
}
