// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! `#[derive(Route)]` as written. There is nothing to check beyond its form.

use proc_macro2::{Ident, TokenStream};
use syn::{Data, DeriveInput, Fields, Meta, Path};

use super::options::{self, CRATE, Known};
use crate::diagnostics::{Diagnostics, message};

const KNOWN: &[Known] = &[CRATE];

/// The enum: its variants hold nothing.
#[derive(Debug)]
pub(crate) struct RouteSyntax {
    pub(crate) ident: Ident,
    pub(crate) variants: Vec<Ident>,
    pub(crate) root: Option<Path>,
}

/// Reads the enum; `None` when the item can be no route at all.
pub(crate) fn parse(input: TokenStream, diagnostics: &mut Diagnostics) -> Option<RouteSyntax> {
    let input: DeriveInput = diagnostics.ok(syn::parse2(input))?;
    let generics = &input.generics;
    if !generics.params.is_empty() || generics.where_clause.is_some() {
        diagnostics.error(generics, message::GENERIC_ROUTE);
        return None;
    }
    let Data::Enum(data) = input.data else {
        diagnostics.error(&input.ident, message::route_is_no_enum(&input.ident));
        return None;
    };
    if data.variants.is_empty() {
        diagnostics.error(&input.ident, message::ROUTE_WITHOUT_VARIANTS);
    }
    let variants = data.variants.into_iter().map(|variant| {
        if !matches!(variant.fields, Fields::Unit) {
            let message = message::route_holds_something(&variant.ident);
            diagnostics.error(&variant.fields, message);
        }
        variant.ident
    });
    let variants = variants.collect();
    let mut root = None;
    for attribute in input.attrs {
        if !attribute.path().is_ident("route") {
            continue;
        }
        let Meta::List(list) = &attribute.meta else {
            let form = message::write_option("#[route(crate = ::path)]");
            diagnostics.error(&attribute.meta, form);
            continue;
        };
        options::parse_all(list.tokens.clone(), diagnostics, |input, diagnostics| {
            options::read_all(input, "#[route]", KNOWN, diagnostics, |_, input| {
                root = Some(options::root(input)?);
                Ok(())
            })
        });
    }
    Some(RouteSyntax {
        ident: input.ident,
        variants,
        root,
    })
}
