// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! `#[job_handler]` as written.

use proc_macro2::TokenStream;
use syn::{ItemFn, Path};

use super::first_word;
use super::options::{self, CRATE, Known};
use crate::diagnostics::{Diagnostics, message};

const KNOWN: &[Known] = &[CRATE];

/// Reads the one option, the path of `crate =`.
pub(crate) fn parse_options(tokens: TokenStream, diagnostics: &mut Diagnostics) -> Option<Path> {
    let mut root = None;
    options::parse_all(tokens, diagnostics, |input, diagnostics| {
        options::read_all(input, "#[job_handler]", KNOWN, diagnostics, |_, input| {
            root = Some(options::root(input)?);
            Ok(())
        })
    });
    root
}

/// Reads the function.
pub(crate) fn parse_item(item: &TokenStream, diagnostics: &mut Diagnostics) -> Option<ItemFn> {
    let parsed = syn::parse2::<ItemFn>(item.clone());
    if parsed.is_err() {
        diagnostics.error(first_word(item), message::HANDLER_IS_NO_FUNCTION);
    }
    parsed.ok()
}
