// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! The name of a signal.

use proc_macro2::TokenStream;
use quote::quote;

use crate::model::signal::Signal;

/// Expands a signal.
pub(crate) fn expand(signal: &Signal) -> TokenStream {
    let Signal { ident, name, root } = signal;
    let private = root.private();
    quote! {
        #[automatically_derived]
        impl #private::Signal for #ident {
            const NAME: &'static str = #name;
        }
    }
}
