// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! From tokens to syntax, spans kept. What is written wrongly is reported and left out.

pub(crate) mod cached;
pub(crate) mod graph;
pub(crate) mod job;
pub(crate) mod job_handler;
pub(crate) mod model;
pub(crate) mod options;
pub(crate) mod pipeline;
pub(crate) mod retry;
pub(crate) mod route;
pub(crate) mod schedule;
pub(crate) mod scheduled;
pub(crate) mod serde;
pub(crate) mod signal;
pub(crate) mod state;
pub(crate) mod step;
pub(crate) mod template;

use proc_macro2::{Ident, TokenStream, TokenTree};
use syn::punctuated::Punctuated;
use syn::{Data, Field, Fields, Token};

use crate::diagnostics::Diagnostics;
use crate::diagnostics::message::StructMessages;

/// The first word of an item of the wrong kind, past its attributes.
fn first_word(item: &TokenStream) -> TokenTree {
    let words = item.clone().into_iter();
    let mut words = words.filter(|token| matches!(token, TokenTree::Ident(_)));
    words
        .next()
        .unwrap_or_else(|| proc_macro2::Ident::new("item", proc_macro2::Span::call_site()).into())
}

/// The fields of a struct that has named ones; `None`, and a message, for anything else.
fn named_fields(
    data: Data,
    ident: &Ident,
    messages: &StructMessages,
    diagnostics: &mut Diagnostics,
) -> Option<Punctuated<Field, Token![,]>> {
    match data {
        Data::Struct(data) => match data.fields {
            Fields::Named(fields) => return Some(fields.named),
            Fields::Unnamed(fields) => diagnostics.error(fields, messages.needs_names()),
            Fields::Unit => diagnostics.error(ident, messages.needs_names()),
        },
        Data::Enum(data) => diagnostics.error(data.enum_token, messages.is_no("an enum")),
        Data::Union(data) => diagnostics.error(data.union_token, messages.is_no("a union")),
    }
    None
}
