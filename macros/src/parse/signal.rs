// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! `#[derive(Signal)]` as written.

use proc_macro2::{Ident, Span, TokenStream};
use syn::{Attribute, Data, DeriveInput, LitStr, Meta, Path};

use super::options::{self, CRATE, Known};
use super::pipeline;
use crate::diagnostics::{Diagnostics, message};

const KNOWN: &[Known] = &[CRATE];

/// The struct or enum, and the name of its signal.
#[derive(Debug)]
pub(crate) struct SignalSyntax {
    pub(crate) ident: Ident,
    pub(crate) name: Option<LitStr>,
    pub(crate) root: Option<Path>,
}

/// Reads the item; `None` when it can be no signal at all.
pub(crate) fn parse(input: TokenStream, diagnostics: &mut Diagnostics) -> Option<SignalSyntax> {
    let input: DeriveInput = diagnostics.ok(syn::parse2(input))?;
    let generics = &input.generics;
    if !generics.params.is_empty() || generics.where_clause.is_some() {
        if generics.params.is_empty() {
            diagnostics.error(&generics.where_clause, message::GENERIC_SIGNAL);
        } else {
            diagnostics.error(&generics.params, message::GENERIC_SIGNAL);
        }
        return None;
    }
    if let Data::Union(data) = &input.data {
        diagnostics.error(data.union_token, message::SIGNAL_IS_UNION);
        return None;
    }
    let mut signal = SignalSyntax {
        ident: input.ident,
        name: None,
        root: None,
    };
    let attributes = input.attrs.iter();
    let mut attributes = attributes.filter(|attribute| attribute.path().is_ident("signal"));
    match attributes.next() {
        Some(attribute) => read(attribute, &mut signal, diagnostics),
        None => diagnostics.error_at(Span::call_site(), message::SIGNAL_WITHOUT_NAME),
    }
    for second in attributes {
        diagnostics.error(second, message::SIGNAL_NAMED_TWICE);
    }
    Some(signal)
}

fn read(attribute: &Attribute, signal: &mut SignalSyntax, diagnostics: &mut Diagnostics) {
    let Meta::List(list) = &attribute.meta else {
        diagnostics.error(&attribute.meta, message::SIGNAL_FORM);
        return;
    };
    options::parse_all(list.tokens.clone(), diagnostics, |input, diagnostics| {
        if input.peek(LitStr) {
            signal.name = diagnostics.ok(input.parse());
            options::end_of_item(input, diagnostics);
        } else {
            diagnostics.error(&attribute.meta, message::SIGNAL_FORM);
            pipeline::drain(input);
        }
        options::read_all(input, "#[signal]", KNOWN, diagnostics, |_, input| {
            signal.root = Some(options::root(input)?);
            Ok(())
        })
    });
}
