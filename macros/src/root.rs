// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! Where the expansion finds the library: in the crate that re-exports the macro, behind the facade,
//! or where `crate =` says.

use proc_macro2::{Span, TokenStream};
use quote::{ToTokens, quote};
use syn::Path;

/// The path of the crate, or of the module that re-exports it.
#[derive(Debug, Clone)]
pub(crate) enum Root {
    /// `::forktex_flow`
    Flow,
    /// `::forktex::flow`
    Facade,
    /// `::forktex_db`
    Db,
    /// `::forktex::db`
    DbThroughFacade,
    /// `::forktex_cache`
    Cache,
    /// `::forktex::cache`
    CacheThroughFacade,
    /// `::forktex_queue`
    Queue,
    /// `::forktex::queue`
    QueueThroughFacade,
    /// What `crate =` gave.
    Given(Path),
}

impl Root {
    /// The path that `crate =` gave, or this one.
    pub(crate) fn or_given(self, path: Option<Path>) -> Self {
        path.map_or(self, Self::Given)
    }

    /// The module that holds all that an expansion may name.
    pub(crate) fn private(&self) -> TokenStream {
        quote!(#self::__private)
    }

    /// The same, for code that the compiler shall see at `span` if it does not fit.
    pub(crate) fn private_at(&self, span: Span) -> TokenStream {
        let tokens = self.private().into_iter();
        let moved = tokens.map(|mut token| {
            token.set_span(span);
            token
        });
        moved.collect()
    }
}

impl ToTokens for Root {
    fn to_tokens(&self, tokens: &mut TokenStream) {
        match self {
            Self::Flow => quote!(::forktex_flow).to_tokens(tokens),
            Self::Facade => quote!(::forktex::flow).to_tokens(tokens),
            Self::Db => quote!(::forktex_db).to_tokens(tokens),
            Self::DbThroughFacade => quote!(::forktex::db).to_tokens(tokens),
            Self::Cache => quote!(::forktex_cache).to_tokens(tokens),
            Self::CacheThroughFacade => quote!(::forktex::cache).to_tokens(tokens),
            Self::Queue => quote!(::forktex_queue).to_tokens(tokens),
            Self::QueueThroughFacade => quote!(::forktex::queue).to_tokens(tokens),
            Self::Given(path) => path.to_tokens(tokens),
        }
    }
}
