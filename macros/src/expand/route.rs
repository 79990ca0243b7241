// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! The names of the answers.

use proc_macro2::TokenStream;
use quote::quote;
use syn::ext::IdentExt;

use crate::parse::route::RouteSyntax;
use crate::root::Root;

/// Expands a route.
pub(crate) fn expand(route: &RouteSyntax, root: Root) -> TokenStream {
    let RouteSyntax {
        ident,
        variants,
        root: given,
    } = route;
    let private = root.or_given(given.clone()).private();
    let names: Vec<String> = variants
        .iter()
        .map(|variant| variant.unraw().to_string())
        .collect();
    quote! {
        #[automatically_derived]
        impl #private::Route for #ident {
            const BRANCHES: &'static [&'static str] = &[#(#names),*];

            fn branch(&self) -> &'static str {
                match *self {
                    #(Self::#variants { .. } => #names,)*
                }
            }
        }
    }
}
