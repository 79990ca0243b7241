// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! A signal: its type and its name.

use proc_macro2::Ident;
use syn::LitStr;

use super::name;
use crate::diagnostics::{Diagnostics, message};
use crate::parse::signal::SignalSyntax;
use crate::root::Root;

/// A checked signal.
#[derive(Debug)]
pub(crate) struct Signal {
    pub(crate) ident: Ident,
    /// Empty where it is missing, so that the type is a signal all the same.
    pub(crate) name: String,
    pub(crate) root: Root,
}

/// Checks a signal.
pub(crate) fn check(syntax: SignalSyntax, root: Root, diagnostics: &mut Diagnostics) -> Signal {
    let name = syntax.name.as_ref().map(LitStr::value).unwrap_or_default();
    if let Some(literal) = &syntax.name
        && !name::is_workflow(&name)
    {
        diagnostics.error(literal, message::signal_name(&name));
    }
    Signal {
        ident: syntax.ident,
        name,
        root: root.or_given(syntax.root),
    }
}
