// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! `impl State`, the update type, and the functions that begin both.

mod update;

use proc_macro2::{Ident, Span, TokenStream};
use quote::{quote, quote_spanned};
use syn::ext::IdentExt;
use syn::spanned::Spanned;

use crate::model::state::{Field, Reducer, State};

/// Expands a state.
pub(crate) fn expand(state: &State) -> TokenStream {
    let (private, ident, update) = (state.root.private(), &state.ident, &state.update);
    let schema = schema(state);
    let (encode, apply, field) = (encode(state), apply(state), field(state));
    let inherent = inherent(state);
    let update_type = update::expand(state);
    quote! {
        #[automatically_derived]
        impl #private::State for #ident {
            type Update = #update;
            #schema
            #encode
            #apply
            #field
        }
        #inherent
        #update_type
    }
}

fn schema(state: &State) -> TokenStream {
    let (private, name) = (state.root.private(), state.ident.to_string());
    let fields = state.fields.iter().map(|field| {
        let (name, type_name) = (&field.json_name, &field.type_name);
        let reducer = variant(field);
        quote! {
            #private::FieldSchema {
                name: #name,
                type_name: #type_name,
                reducer: #private::Reducer::#reducer,
            }
        }
    });
    let names = state.fields.iter().map(name_in_rust);
    let are_others = state
        .fields
        .iter()
        .any(|field| name_in_rust(field) != field.json_name);
    let names =
        are_others.then(|| quote!(const FIELD_NAMES: &'static [&'static str] = &[#(#names),*];));
    quote! {
        const SCHEMA: #private::StateSchema = #private::StateSchema {
            name: #name,
            fields: &[#(#fields),*],
        };
        #names
    }
}

fn encode(state: &State) -> TokenStream {
    let private = state.root.private();
    let puts = state.fields.iter().map(|field| {
        let (ident, name, reducer) = (&field.ident, &field.json_name, variant(field));
        let value = match field.reducer {
            Reducer::Set | Reducer::With(_) => quote!(update.#ident),
            _ => quote!(update.#ident.transpose()?),
        };
        quote!(#private::put(&mut delta, #private::Reducer::#reducer, #name, #value)?;)
    });
    quote! {
        #[allow(unused_mut, unused_variables)]
        fn encode(
            update: Self::Update,
        ) -> ::core::result::Result<#private::Delta, #private::StateError> {
            let mut delta = #private::Delta::new();
            #(#puts)*
            ::core::result::Result::Ok(delta)
        }
    }
}

fn apply(state: &State) -> TokenStream {
    let (private, state_name) = (state.root.private(), state.ident.to_string());
    // The function of a `with` reducer may have the name of a parameter.
    let parameter = |name| Ident::new(name, Span::mixed_site());
    let (reducer, field, value) = (parameter("reducer"), parameter("field"), parameter("value"));
    let arms = state.fields.iter().map(|field| {
        let (ident, name) = (&field.ident, &field.json_name);
        let combine = combine(state, field);
        quote! {
            #name => #private::reduce(#reducer, #name, &mut self.#ident, #value, #combine),
        }
    });
    quote! {
        #[allow(unused_variables)]
        fn apply(
            &mut self,
            #reducer: #private::Reducer,
            #field: &str,
            #value: #private::Value,
        ) -> ::core::result::Result<(), #private::StateError> {
            match #field {
                #(#arms)*
                _ => ::core::result::Result::Err(#private::unknown_field(#state_name, #field)),
            }
        }
    }
}

/// How an existing value of the field meets a new one. Its tokens carry the span of the type, so that
/// a type that the reducer does not take is where the compiler points.
fn combine(state: &State, field: &Field) -> TokenStream {
    let (ty, name) = (&field.ty, &field.json_name);
    let existing = Ident::new("existing", Span::mixed_site());
    let new = Ident::new("new", Span::mixed_site());
    let span = ty.span();
    let private = state.root.private_at(span);
    let body = match &field.reducer {
        Reducer::Set => quote!(*#existing = #new;),
        Reducer::Append => {
            quote_spanned!(span=> #private::reducer::append::<#ty>(#existing, #new);)
        }
        Reducer::Max => quote_spanned!(span=> #private::reducer::max::<#ty>(#existing, #new);),
        Reducer::Min => quote_spanned!(span=> #private::reducer::min::<#ty>(#existing, #new);),
        Reducer::Union => quote_spanned!(span=> #private::reducer::union::<#ty>(#existing, #new);),
        Reducer::Merge => quote_spanned!(span=> #private::reducer::merge::<#ty>(#existing, #new);),
        Reducer::Add => {
            quote_spanned!(span=> #private::reducer::add::<#ty>(#name, #existing, #new)?;)
        }
        Reducer::With(function) => {
            let private = state.root.private_at(function.span());
            quote_spanned! {function.span()=>
                #private::combine_with::<#ty>(#function, #existing, #new);
            }
        }
    };
    quote! {
        |#existing: &mut #ty, #new: #ty| {
            #body
            ::core::result::Result::Ok(())
        }
    }
}

fn field(state: &State) -> TokenStream {
    let (private, state_name) = (state.root.private(), state.ident.to_string());
    let arms = state.fields.iter().map(|field| {
        let (ident, name) = (&field.ident, &field.json_name);
        quote!(#name => #private::encode(#name, &self.#ident),)
    });
    quote! {
        fn field(
            &self,
            field: &str,
        ) -> ::core::result::Result<#private::Value, #private::StateError> {
            match field {
                #(#arms)*
                _ => ::core::result::Result::Err(#private::unknown_field(#state_name, field)),
            }
        }
    }
}

fn inherent(state: &State) -> TokenStream {
    let State {
        ident,
        visibility,
        update,
        ..
    } = state;
    let private = state.root.private();
    let update_docs = format!("A [`{update}`] that changes nothing yet.");
    let input_docs = format!(
        "Decodes a [`{ident}`] from the input of a run. `Option` fields may be absent, and so may          the fields that are reduced by append, union, merge or add, which then begin empty."
    );
    let error_docs = "The error names what is missing or of the wrong type.";
    quote! {
        #[allow(dead_code)]
        impl #ident {
            #[doc = #update_docs]
            #visibility fn update() -> #update {
                ::core::default::Default::default()
            }

            #[doc = #input_docs]
            #[doc = ""]
            #[doc = "# Errors"]
            #[doc = #error_docs]
            #visibility fn from_input(
                input: #private::Value,
            ) -> ::core::result::Result<Self, #private::StateError> {
                #private::from_input(input)
            }
        }
    }
}

fn name_in_rust(field: &Field) -> String {
    field.ident.unraw().to_string()
}

/// The variant of the library's `Reducer`.
fn variant(field: &Field) -> Ident {
    Ident::new(field.reducer.variant(), Span::call_site())
}
