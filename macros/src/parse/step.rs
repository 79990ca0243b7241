// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! `#[step(..)]` as written.

use proc_macro2::{Ident, TokenStream};
use syn::parse::ParseStream;
use syn::{ItemFn, Path, Token, parenthesized};

use super::first_word;
use super::options::{self, CRATE, Known};
use super::pipeline;
use super::retry::{BACKOFF, HEARTBEAT, MAX_ATTEMPTS, RetrySyntax, TIMEOUT};
use crate::diagnostics::{Diagnostics, message};

pub(crate) const COMPENSATE: Known = ("compensate", "compensate = undo_step");
pub(super) const WRITES: Known = ("writes", "writes(field, other_field)");
const KNOWN: &[Known] = &[
    MAX_ATTEMPTS,
    BACKOFF,
    TIMEOUT,
    HEARTBEAT,
    COMPENSATE,
    WRITES,
    CRATE,
];

/// The options of a step.
#[derive(Debug, Default)]
pub(crate) struct StepOptions {
    pub(crate) retry: RetrySyntax,
    pub(crate) compensate: Option<Path>,
    pub(crate) writes: Option<Vec<Ident>>,
    pub(crate) root: Option<Path>,
}

/// Reads the options.
pub(crate) fn parse_options(tokens: TokenStream, diagnostics: &mut Diagnostics) -> StepOptions {
    let mut step = StepOptions::default();
    options::parse_all(tokens, diagnostics, |input, diagnostics| {
        options::read_all(input, "#[step]", KNOWN, diagnostics, |key, input| {
            step.read(key, input)
        })
    });
    step
}

impl StepOptions {
    /// Reads the value of an option of steps.
    pub(super) fn read(&mut self, key: &str, input: ParseStream) -> syn::Result<()> {
        if key == CRATE.0 {
            self.root = Some(options::root(input)?);
        } else if key == COMPENSATE.0 {
            self.compensate = Some(compensation(input)?);
        } else if key == WRITES.0 {
            let fields = writes(input)?;
            self.writes.get_or_insert_default().extend(fields);
        } else {
            self.retry.read(key, input)?;
        }
        Ok(())
    }
}

/// The path of the step that undoes another.
pub(super) fn compensation(input: ParseStream) -> syn::Result<Path> {
    let start = input.span();
    let path = input.call(Path::parse_mod_style);
    path.map_err(|_| syn::Error::new(start, message::write_option(COMPENSATE.1)))
}

/// The names of fields in parentheses.
fn writes(input: ParseStream) -> syn::Result<Vec<Ident>> {
    let content;
    parenthesized!(content in input);
    let form = |span| syn::Error::new(span, message::write_option(WRITES.1));
    if content.is_empty() {
        return Err(form(content.span()));
    }
    let mut fields = Vec::new();
    while !content.is_empty() {
        let start = content.span();
        let field = content.parse();
        let is_end = content.is_empty() || content.peek(Token![,]);
        match field {
            Ok(field) if is_end => fields.push(field),
            _ => {
                pipeline::drain(&content);
                return Err(form(start));
            }
        }
        let _: Option<Token![,]> = content.parse()?;
    }
    Ok(fields)
}

/// Reads the function.
pub(crate) fn parse_item(item: &TokenStream, diagnostics: &mut Diagnostics) -> Option<ItemFn> {
    let parsed = syn::parse2::<ItemFn>(item.clone());
    if parsed.is_err() {
        diagnostics.error(first_word(item), message::STEP_IS_NO_FUNCTION);
    }
    parsed.ok()
}
