// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! What serde's attributes say about the JSON of a state. Mistakes in them are serde's to report.

use proc_macro2::TokenStream;
use quote::ToTokens;
use syn::punctuated::Punctuated;
use syn::{Attribute, Expr, Lit, LitStr, Meta, Token};

/// One item of a `#[serde(..)]`.
#[derive(Debug)]
pub(crate) struct SerdeItem {
    pub(crate) word: String,
    pub(crate) tokens: TokenStream,
    pub(crate) names: Names,
}

/// What an item gives to the two directions.
#[derive(Debug, Default)]
pub(crate) struct Names {
    pub(crate) serialize: Option<String>,
    pub(crate) deserialize: Option<String>,
}

impl SerdeItem {
    fn of(meta: &Meta) -> Self {
        let word = meta.path().require_ident().map(ToString::to_string);
        Self {
            word: word.unwrap_or_default(),
            tokens: meta.to_token_stream(),
            names: names(meta),
        }
    }
}

fn names(meta: &Meta) -> Names {
    let text = |meta: &Meta| match meta {
        Meta::NameValue(pair) => string(&pair.value).map(LitStr::value),
        _ => None,
    };
    match meta {
        Meta::List(list) => {
            let mut names = Names::default();
            let inner = list.parse_args_with(Punctuated::<Meta, Token![,]>::parse_terminated);
            for meta in inner.into_iter().flatten() {
                if meta.path().is_ident("serialize") {
                    names.serialize = text(&meta);
                } else if meta.path().is_ident("deserialize") {
                    names.deserialize = text(&meta);
                }
            }
            names
        }
        _ => Names {
            serialize: text(meta),
            deserialize: text(meta),
        },
    }
}

fn string(value: &Expr) -> Option<&LitStr> {
    match value {
        Expr::Lit(literal) => match &literal.lit {
            Lit::Str(text) => Some(text),
            _ => None,
        },
        _ => None,
    }
}

/// All items of all `#[serde(..)]` among the attributes.
pub(crate) fn parse(attributes: &[Attribute]) -> Vec<SerdeItem> {
    let lists = attributes
        .iter()
        .filter(|attribute| attribute.path().is_ident("serde"))
        .filter_map(|attribute| {
            attribute
                .parse_args_with(Punctuated::<Meta, Token![,]>::parse_terminated)
                .ok()
        });
    lists.flatten().map(|meta| SerdeItem::of(&meta)).collect()
}
