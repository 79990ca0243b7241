// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! The update of a step that declares what it writes: a type with those setters and no others.

use proc_macro2::TokenStream;
use quote::{quote, quote_spanned};
use syn::ItemFn;
use syn::ext::IdentExt;

use super::cfgs;
use crate::model::step::{Step, Writes};

/// The names of the fields.
pub(super) fn constant(writes: &Writes) -> TokenStream {
    let names = writes.fields.iter().map(|field| field.unraw().to_string());
    quote! {
        const WRITES: ::core::option::Option<&'static [&'static str]> =
            ::core::option::Option::Some(&[#(#names),*]);
    }
}

/// The type. Of a field it knows only the name, so its setters go through `Sets`.
pub(crate) fn update(writes: &Writes, step: &Step, function: &ItemFn) -> TokenStream {
    let Writes { ident, fields } = writes;
    let (private, state, visibility) = (step.root.private(), &step.state, &function.vis);
    let conditions: Vec<_> = cfgs(&function.attrs).collect();
    let docs = format!(
        "What the step [`{0}`](fn@{0}) changes: it may set these fields and no others.",
        function.sig.ident.unraw()
    );
    let begin_docs = "Changes nothing yet.";
    let name = ident.to_string();
    let update = quote!(<#state as #private::State>::Update);
    let setters = fields.iter().map(|field| {
        let text = field.unraw().to_string();
        let docs =
            format!("Gives the field `{text}` a value, as its setter on the state's update does.");
        let key = quote!({ #private::field_key(#text) });
        quote! {
            #[doc = #docs]
            #visibility fn #field<V>(self, value: V) -> Self
            where
                #update: #private::Sets<#key, V>,
            {
                Self(#private::Sets::<#key, V>::set(self.0, value))
            }
        }
    });
    // A field that is missing, or cannot be seen from here, is the compiler's own error.
    let exist = fields.iter().map(|field| {
        quote_spanned! {field.span()=>
            #(#conditions)*
            const _: fn(&#state) = |state| { let _ = &state.#field; };
        }
    });
    quote! {
        #(#conditions)*
        #[doc = #docs]
        #[must_use]
        #visibility struct #ident(#update);

        #(#conditions)*
        #[allow(dead_code, clippy::new_without_default)]
        impl #ident {
            #[doc = #begin_docs]
            #visibility fn new() -> Self {
                Self(::core::default::Default::default())
            }

            #(#setters)*
        }

        #(#conditions)*
        #[automatically_derived]
        impl ::core::fmt::Debug for #ident {
            fn fmt(&self, formatter: &mut ::core::fmt::Formatter<'_>) -> ::core::fmt::Result {
                formatter.debug_struct(#name).finish_non_exhaustive()
            }
        }

        #(#conditions)*
        #[automatically_derived]
        impl #private::IntoUpdate<#state> for #ident {
            fn into_update(self) -> #update {
                self.0
            }
        }

        #(#exist)*
    }
}
