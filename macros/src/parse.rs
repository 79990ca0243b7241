// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! From tokens to syntax, spans kept. What is written wrongly is reported and left out.

pub(crate) mod options;
pub(crate) mod pipeline;
pub(crate) mod retry;
pub(crate) mod serde;
pub(crate) mod state;
pub(crate) mod step;

use proc_macro2::{TokenStream, TokenTree};

/// The first word of an item of the wrong kind, past its attributes.
fn first_word(item: &TokenStream) -> TokenTree {
    let words = item.clone().into_iter();
    let mut words = words.filter(|token| matches!(token, TokenTree::Ident(_)));
    words
        .next()
        .unwrap_or_else(|| proc_macro2::Ident::new("item", proc_macro2::Span::call_site()).into())
}
