// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! The update type: a builder with one setter a field.

use proc_macro2::TokenStream;
use quote::quote;
use syn::Attribute;

use super::{combine, name_in_rust};
use crate::model::state::{Field, Reducer, Setter, State};

pub(crate) fn expand(state: &State) -> TokenStream {
    let State {
        ident,
        visibility,
        update,
        fields,
        ..
    } = state;
    let private = state.root.private();
    let docs = format!(
        "What a step changes of a [`{ident}`]. Begin with [`{ident}::update`]; a field that no          setter is called for stays as it is."
    );
    let idents: Vec<_> = fields.iter().map(|field| &field.ident).collect();
    let types = fields.iter().map(|field| storage(state, field));
    let setters = fields.iter().map(|field| setter(state, field));
    let by_key = fields.iter().map(|field| by_key(state, field));
    let names = fields.iter().map(|field| &field.json_name);
    let update_name = update.to_string();
    quote! {
        #[automatically_derived]
        impl #private::StateUpdate for #update {
            type State = #ident;
        }

        #[doc = #docs]
        #[must_use]
        #visibility struct #update {
            #(#idents: #types,)*
        }

        #[automatically_derived]
        impl #private::IntoUpdate<#ident> for #update {
            fn into_update(self) -> Self {
                self
            }
        }

        #[automatically_derived]
        impl ::core::default::Default for #update {
            fn default() -> Self {
                Self { #(#idents: ::core::option::Option::None,)* }
            }
        }

        #[automatically_derived]
        impl ::core::fmt::Debug for #update {
            fn fmt(&self, formatter: &mut ::core::fmt::Formatter<'_>) -> ::core::fmt::Result {
                #private::debug_update(
                    formatter,
                    #update_name,
                    &[#((#names, self.#idents.is_some())),*],
                )
            }
        }

        #[allow(dead_code)]
        impl #update {
            #(#setters)*
        }

        #(#by_key)*
    }
}

/// What an update holds for a field. Combining two calls may err, which is told when it is encoded.
fn storage(state: &State, field: &Field) -> TokenStream {
    let (private, ty) = (state.root.private(), &field.ty);
    match field.reducer {
        Reducer::Set | Reducer::With(_) => quote!(::core::option::Option<#ty>),
        _ => quote! {
            ::core::option::Option<::core::result::Result<#ty, #private::StateError>>
        },
    }
}

fn setter(state: &State, field: &Field) -> TokenStream {
    let (private, ident, visibility) = (state.root.private(), &field.ident, &field.visibility);
    let docs = docs(field);
    let (parameter, value) = parameter(state, field);
    let store = match field.reducer {
        Reducer::Set | Reducer::With(_) => quote!(::core::option::Option::Some(#value)),
        _ => {
            let combine = combine(state, field);
            quote!(#private::accumulate(self.#ident.take(), #value, #combine))
        }
    };
    quote! {
        #(#docs)*
        #visibility fn #ident(mut self, value: #parameter) -> Self {
            self.#ident = #store;
            self
        }
    }
}

/// The setter, for a step that declares its writes and does not know the type of the field.
fn by_key(state: &State, field: &Field) -> TokenStream {
    let (private, update, ident) = (state.root.private(), &state.update, &field.ident);
    let (name, ty) = (name_in_rust(field), &field.ty);
    let (generics, value) = match &field.setter {
        Setter::Value => (None, quote!(#ty)),
        Setter::Into => (Some(quote!(::core::convert::Into<#ty>)), quote!(V)),
        Setter::Option(inner) => (Some(quote!(#private::IntoOption<#inner>)), quote!(V)),
        Setter::Items => (Some(quote!(#private::ExactItems<#ty>)), quote!(V)),
        Setter::ItemsInto => (Some(quote!(#private::IntoItems<#ty>)), quote!(V)),
    };
    let generics = generics.map(|bound| quote!(<V: #bound>));
    quote! {
        #[automatically_derived]
        #[diagnostic::do_not_recommend]
        impl #generics #private::Sets<{ #private::field_key(#name) }, #value> for #update {
            fn set(self, value: #value) -> Self {
                self.#ident(value)
            }
        }
    }
}

/// The type of the parameter, and the value that it makes.
fn parameter(state: &State, field: &Field) -> (TokenStream, TokenStream) {
    let (private, ty) = (state.root.private(), &field.ty);
    match &field.setter {
        Setter::Value => (quote!(#ty), quote!(value)),
        Setter::Into => (
            quote!(impl ::core::convert::Into<#ty>),
            quote!(::core::convert::Into::into(value)),
        ),
        Setter::Option(inner) => (
            quote!(impl #private::IntoOption<#inner>),
            quote!(#private::IntoOption::into_option(value)),
        ),
        Setter::Items => (
            quote!(impl #private::ExactItems<#ty>),
            quote!(#private::ExactItems::into_items(value)),
        ),
        Setter::ItemsInto => (
            quote!(impl #private::IntoItems<#ty>),
            quote!(#private::IntoItems::into_items(value)),
        ),
    }
}

/// The documentation of the field, and what the reducer does with the value.
fn docs(field: &Field) -> Vec<Attribute> {
    let effect = match field.reducer {
        Reducer::Set => "Replaces the field.",
        Reducer::Append => "Appends to the field; a second call adds more items.",
        Reducer::Add => "Adds to the field; a second call adds on top.",
        Reducer::Max => "Raises the field to the value if it is larger.",
        Reducer::Min => "Lowers the field to the value if it is smaller.",
        Reducer::Union => "Adds the items that the field does not have yet.",
        Reducer::Merge => "Puts entries into the field; an equal key takes the new value.",
        Reducer::With(_) => {
            "Gives the field a value, which its own reducer combines with the old one."
        }
    };
    let mut docs = field.docs.clone();
    if !docs.is_empty() {
        docs.push(syn::parse_quote!(#[doc = ""]));
    }
    docs.push(syn::parse_quote!(#[doc = #effect]));
    docs
}
