// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! `#[derive(State)]` as written.

use proc_macro2::{Ident, Span, TokenStream};
use syn::ext::IdentExt;
use syn::parse::ParseStream;
use syn::spanned::Spanned;
use syn::{Attribute, DeriveInput, Generics, Meta, Path, Token, Type, Visibility};

use super::named_fields;
use super::options::{self, CRATE, Known};
use super::serde::{self, SerdeItem};
use crate::diagnostics::{Diagnostics, message};

/// The struct.
#[derive(Debug)]
pub(crate) struct StateSyntax {
    pub(crate) ident: Ident,
    pub(crate) visibility: Visibility,
    pub(crate) generics: Generics,
    pub(crate) serde: Vec<SerdeItem>,
    pub(crate) fields: Vec<FieldSyntax>,
    pub(crate) root: Option<Path>,
}

/// One field.
#[derive(Debug)]
pub(crate) struct FieldSyntax {
    pub(crate) ident: Ident,
    pub(crate) visibility: Visibility,
    pub(crate) docs: Vec<Attribute>,
    pub(crate) ty: Type,
    pub(crate) serde: Vec<SerdeItem>,
    pub(crate) reducers: Vec<ReducerSyntax>,
}

/// What one `#[reduce(..)]` says.
#[derive(Debug)]
pub(crate) struct ReducerSyntax {
    pub(crate) word: Ident,
    pub(crate) function: Option<Path>,
    pub(crate) span: Span,
}

const STATE_KNOWN: &[Known] = &[CRATE];

/// Reads the struct; `None` when the item can be no state at all.
pub(crate) fn parse(input: TokenStream, diagnostics: &mut Diagnostics) -> Option<StateSyntax> {
    let input: DeriveInput = diagnostics.ok(syn::parse2(input))?;
    let fields = named_fields(input.data, &input.ident, &message::STATE, diagnostics)?;
    let fields = fields
        .into_iter()
        .filter_map(|field| {
            let only = |name: &str| {
                let named = field
                    .attrs
                    .iter()
                    .filter(|attribute| attribute.path().is_ident(name));
                named.cloned().collect::<Vec<_>>()
            };
            Some(FieldSyntax {
                docs: only("doc"),
                serde: serde::parse(&field.attrs),
                reducers: reducers(&field.attrs, diagnostics),
                ident: field.ident?,
                visibility: field.vis,
                ty: field.ty,
            })
        })
        .collect();
    Some(StateSyntax {
        root: root(&input.attrs, diagnostics),
        serde: serde::parse(&input.attrs),
        ident: input.ident,
        visibility: input.vis,
        generics: input.generics,
        fields,
    })
}

/// The options of `#[state(..)]`.
fn root(attributes: &[Attribute], diagnostics: &mut Diagnostics) -> Option<Path> {
    let mut root = None;
    for attribute in attributes
        .iter()
        .filter(|attribute| attribute.path().is_ident("state"))
    {
        let Meta::List(list) = &attribute.meta else {
            diagnostics.error(
                &attribute.meta,
                message::write_option("#[state(crate = ::path)]"),
            );
            continue;
        };
        options::parse_all(list.tokens.clone(), diagnostics, |input, diagnostics| {
            options::read_all(input, "#[state]", STATE_KNOWN, diagnostics, |_, input| {
                root = Some(options::root(input)?);
                Ok(())
            })
        });
    }
    root
}

fn reducers(attributes: &[Attribute], diagnostics: &mut Diagnostics) -> Vec<ReducerSyntax> {
    let mut reducers = Vec::new();
    for attribute in attributes
        .iter()
        .filter(|attribute| attribute.path().is_ident("reduce"))
    {
        let span = attribute.path().span();
        let reducer = match &attribute.meta {
            Meta::List(list) if !list.tokens.is_empty() => {
                list.parse_args_with(|input: ParseStream| reducer(input, span))
            }
            meta => Err(syn::Error::new_spanned(meta, message::WRITE_REDUCER)),
        };
        reducers.extend(diagnostics.ok(reducer));
    }
    reducers
}

fn reducer(input: ParseStream, span: Span) -> syn::Result<ReducerSyntax> {
    let Ok(word) = input.call(Ident::parse_any) else {
        return Err(input.error(message::WRITE_REDUCER));
    };
    let equals: Option<Token![=]> = input.parse()?;
    let function = match equals {
        Some(_) => {
            let start = input.span();
            let path = input.call(Path::parse_mod_style);
            Some(path.map_err(|_| syn::Error::new(start, message::WITH_NEEDS_PATH))?)
        }
        None => None,
    };
    if !input.is_empty() {
        return Err(input.error(message::ONE_REDUCER));
    }
    Ok(ReducerSyntax {
        word,
        function,
        span,
    })
}
