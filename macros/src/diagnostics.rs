// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! The sink of errors. A phase puts in all that it finds; nothing stops at the first.

pub(crate) mod message;
mod nearest;

use std::fmt::Display;

use proc_macro2::{Span, TokenStream};
use quote::ToTokens;

pub(crate) use nearest::nearest;

/// The errors of one invocation.
#[derive(Debug, Default)]
pub(crate) struct Diagnostics(Vec<syn::Error>);

impl Diagnostics {
    /// Reports `message` on the tokens of `culprit`.
    pub(crate) fn error(&mut self, culprit: impl ToTokens, message: impl Display) {
        self.0.push(syn::Error::new_spanned(culprit, message));
    }

    /// Reports `message` at `span`.
    pub(crate) fn error_at(&mut self, span: Span, message: impl Display) {
        self.0.push(syn::Error::new(span, message));
    }

    /// Takes over an error of the parser.
    pub(crate) fn absorb(&mut self, error: syn::Error) {
        self.0.push(error);
    }

    /// Takes over the error and keeps what there is beside it.
    pub(crate) fn ok<T>(&mut self, result: syn::Result<T>) -> Option<T> {
        result.map_err(|error| self.absorb(error)).ok()
    }

    /// Takes over all of another sink.
    pub(crate) fn append(&mut self, other: Self) {
        self.0.extend(other.0);
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The errors as `compile_error!`, all of them.
    pub(crate) fn into_tokens(self) -> TokenStream {
        self.0
            .into_iter()
            .map(syn::Error::into_compile_error)
            .collect()
    }

    /// The texts, for tests.
    #[cfg(test)]
    pub(crate) fn texts(&self) -> Vec<String> {
        self.0.iter().map(ToString::to_string).collect()
    }
}
