// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! The step as it is, and its registration as a template.

use proc_macro2::TokenStream;
use quote::quote;
use syn::{ItemFn, LitStr};

use super::cfgs;
use crate::root::Root;

/// Expands a step template.
pub(crate) fn expand(name: &LitStr, function: &ItemFn, root: &Root) -> TokenStream {
    let (private, ident) = (root.private(), &function.sig.ident);
    let cfgs = cfgs(&function.attrs);
    quote! {
        #function
        #(#cfgs)*
        const _: () = {
            #private::inventory::submit! {
                #private::TemplateRegistration::of::<#ident>(#name, ::core::module_path!())
            }
        };
    }
}
