// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! A step: its state, its resources, its retry options. The signature is checked part by part, and
//! each message shows the whole of what is expected.

mod signature;

use std::collections::HashSet;

use proc_macro2::Ident;
use quote::format_ident;
use syn::ext::IdentExt;
use syn::{ItemFn, Path, Type};

use super::name;
use super::retry::{self, Retry};
use crate::diagnostics::{Diagnostics, message};
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
    pub(crate) compensation: Option<Path>,
    pub(crate) writes: Option<Writes>,
    pub(crate) root: Root,
}

/// The fields that a step declares to change.
#[derive(Debug)]
pub(crate) struct Writes {
    /// The type that has a setter for each.
    pub(crate) ident: Ident,
    pub(crate) fields: Vec<Ident>,
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
    let writes = options
        .writes
        .map(|fields| check_writes(fields, &function.sig.ident, diagnostics));
    if let Some(undo) = &options.compensate
        && undo.get_ident() == Some(&function.sig.ident)
    {
        diagnostics.error(undo, message::UNDOES_ITSELF);
    }
    let update = writes.as_ref().map(|writes| &writes.ident);
    let signature = signature::check(&function.sig, update, diagnostics)?;
    Some(Step {
        state: signature.state,
        form: signature.form,
        resources: signature.resources,
        output: signature.output,
        retry,
        compensation: options.compensate,
        writes,
        root,
    })
}

fn check_writes(fields: Vec<Ident>, step: &Ident, diagnostics: &mut Diagnostics) -> Writes {
    let mut seen = HashSet::new();
    let mut checked = Vec::new();
    for field in fields {
        if field == "new" {
            diagnostics.error(&field, message::WRITES_NEW);
        } else if seen.insert(field.unraw()) {
            checked.push(field);
        } else {
            diagnostics.error(&field, message::duplicate_write(&field));
        }
    }
    let name = name::camel_case(&step.unraw().to_string());
    Writes {
        ident: format_ident!("{name}Writes", span = step.span()),
        fields: checked,
    }
}
