// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! `#[step_template("..")]` as written.

use proc_macro2::{Span, TokenStream};
use syn::{LitStr, Path};

use super::options::{self, CRATE, Known};
use super::pipeline;
use crate::diagnostics::{Diagnostics, message};

const KNOWN: &[Known] = &[CRATE];

/// The options of a step template.
#[derive(Debug, Default)]
pub(crate) struct TemplateOptions {
    pub(crate) name: Option<LitStr>,
    pub(crate) root: Option<Path>,
}

/// Reads the options: the name, and then what is named.
pub(crate) fn parse_options(tokens: TokenStream, diagnostics: &mut Diagnostics) -> TemplateOptions {
    let mut template = TemplateOptions::default();
    options::parse_all(tokens, diagnostics, |input, diagnostics| {
        if input.peek(LitStr) {
            template.name = diagnostics.ok(input.parse());
            options::end_of_item(input, diagnostics);
        } else {
            let span = if input.is_empty() {
                Span::call_site()
            } else {
                input.span()
            };
            diagnostics.error_at(span, message::TEMPLATE_FORM);
            pipeline::drain(input);
        }
        options::read_all(input, "#[step_template]", KNOWN, diagnostics, |_, input| {
            template.root = Some(options::root(input)?);
            Ok(())
        })
    });
    template
}
