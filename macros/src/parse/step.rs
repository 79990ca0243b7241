// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! `#[step(..)]` as written.

use proc_macro2::TokenStream;
use syn::{ItemFn, Path};

use super::first_word;
use super::options::{self, CRATE, Known};
use super::retry::{BACKOFF, MAX_ATTEMPTS, RetrySyntax, TIMEOUT};
use crate::diagnostics::{Diagnostics, message};

const KNOWN: &[Known] = &[MAX_ATTEMPTS, BACKOFF, TIMEOUT, CRATE];

/// The options of a step.
#[derive(Debug, Default)]
pub(crate) struct StepOptions {
    pub(crate) retry: RetrySyntax,
    pub(crate) root: Option<Path>,
}

/// Reads the options.
pub(crate) fn parse_options(tokens: TokenStream, diagnostics: &mut Diagnostics) -> StepOptions {
    let mut step = StepOptions::default();
    options::parse_all(tokens, diagnostics, |input, diagnostics| {
        options::read_all(input, "#[step]", KNOWN, diagnostics, |key, input| {
            if key == CRATE.0 {
                step.root = Some(options::root(input)?);
                return Ok(());
            }
            step.retry.read(key, input)
        })
    });
    step
}

/// Reads the function.
pub(crate) fn parse_item(item: &TokenStream, diagnostics: &mut Diagnostics) -> Option<ItemFn> {
    let parsed = syn::parse2::<ItemFn>(item.clone());
    if parsed.is_err() {
        diagnostics.error(first_word(item), message::STEP_IS_NO_FUNCTION);
    }
    parsed.ok()
}
