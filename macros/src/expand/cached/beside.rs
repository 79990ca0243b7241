// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! `function::key(..)` and `function::invalidate(&cache, ..)`; beside a method, since an `impl` can
//! hold no type, `method_key(..)` and `method_invalidate(..)`.

use proc_macro2::{Ident, TokenStream};
use quote::{ToTokens, format_ident, quote};
use syn::ext::IdentExt;
use syn::punctuated::Punctuated;
use syn::{GenericParam, Generics, ItemFn, PatType};

use super::{find_cache, key, key_type, local};
use crate::expand::cfgs;
use crate::model::cached::{CachePlace, Cached, mentions, plain_name};

/// Expands what stands beside the function.
pub(super) fn expand(cached: &Cached, function: &ItemFn) -> TokenStream {
    let signature = &function.sig;
    let (visibility, ident) = (&function.vis, &signature.ident);
    let name = ident.unraw();
    let cfgs: Vec<_> = cfgs(&function.attrs).collect();
    if let Some(receiver) = signature.receiver() {
        let (key_name, invalidate_name) = (
            format_ident!("{name}_key"),
            format_ident!("{name}_invalidate"),
        );
        let receiver = Some(receiver.to_token_stream());
        let key = make_key(cached, function, &key_name, receiver.clone());
        let invalidate = make_invalidate(cached, function, &invalidate_name, receiver);
        return quote! {
            #(#cfgs)* #key
            #(#cfgs)* #invalidate
        };
    }
    let docs = format!("The key of the cached function [`{name}`](fn@{name}), and its end.");
    let key = make_key(cached, function, &format_ident!("key"), None);
    let invalidate = make_invalidate(cached, function, &format_ident!("invalidate"), None);
    // With braces, so that it takes no place among values.
    quote! {
        #(#cfgs)*
        #[doc = #docs]
        #[allow(non_camel_case_types, dead_code)]
        #visibility struct #ident {}

        #(#cfgs)*
        impl #ident {
            #key
            #invalidate
        }
    }
}

fn make_key(
    cached: &Cached,
    function: &ItemFn,
    name: &Ident,
    receiver: Option<TokenStream>,
) -> TokenStream {
    let visibility = &function.vis;
    let docs = format!(
        "The key under which `{}` keeps its value.",
        function.sig.ident
    );
    let (generics, parameters) = (generics(cached, &function.sig.generics), parameters(cached));
    let (clause, made, output) = (&generics.where_clause, key(cached), key_type(&cached.root));
    let receiver = receiver.into_iter();
    quote! {
        #[doc = #docs]
        #[doc = ""]
        #[doc = "# Errors"]
        #[doc = "Where a part is empty, missing or too long."]
        #[allow(
            dead_code,
            clippy::extra_unused_lifetimes,
            clippy::needless_pass_by_value,
            clippy::unused_self
        )]
        #visibility fn #name #generics (#(#receiver,)* #(#parameters),*) -> #output #clause {
            #made
        }
    }
}

fn make_invalidate(
    cached: &Cached,
    function: &ItemFn,
    name: &Ident,
    receiver: Option<TokenStream>,
) -> TokenStream {
    let private = cached.root.private();
    let visibility = &function.vis;
    let docs = format!(
        "Deletes what `{}` keeps, and whether there was anything. A load that began before puts nothing back.",
        function.sig.ident
    );
    let (generics, parameters) = (generics(cached, &function.sig.generics), parameters(cached));
    let (clause, made) = (&generics.where_clause, key(cached));
    let (cache, key) = (local("cache"), local("key"));
    let is_found = receiver.is_some() && is_in_self(cached, function);
    let (given, found) = if is_found {
        (None, Some(find_cache(cached, &cache)))
    } else {
        (Some(quote!(#cache: &#private::Cache)), None)
    };
    let leading = receiver.into_iter().chain(given);
    quote! {
        #[doc = #docs]
        #[doc = ""]
        #[doc = "# Errors"]
        #[doc = "Where the key cannot be made, or Redis cannot be used."]
        #[allow(
            dead_code,
            clippy::extra_unused_lifetimes,
            clippy::needless_pass_by_value,
            clippy::unused_self
        )]
        #visibility async fn #name #generics (
            #(#leading,)* #(#parameters),*
        ) -> ::core::result::Result<bool, #private::CacheError> #clause {
            #found
            let #key = #made.map_err(#private::CacheError::from)?;
            #private::Cache::delete(#cache, &#key).await
        }
    }
}

/// Whether the cache is found with `self` alone.
fn is_in_self(cached: &Cached, function: &ItemFn) -> bool {
    let CachePlace::Expression { expression, .. } = &cached.cache else {
        return false;
    };
    let tokens = expression.to_token_stream();
    let mut others = function
        .sig
        .inputs
        .iter()
        .filter_map(|argument| match argument {
            syn::FnArg::Typed(parameter) => plain_name(parameter),
            syn::FnArg::Receiver(_) => None,
        });
    mentions(&tokens, "self") && !others.any(|name| mentions(&tokens, &name.unraw().to_string()))
}

/// The parameters of the key, by their plain names.
fn parameters(cached: &Cached) -> impl Iterator<Item = TokenStream> {
    cached.key.parameters.iter().filter_map(|parameter| {
        let PatType { ty, .. } = parameter;
        let name = plain_name(parameter)?;
        Some(quote!(#name: #ty))
    })
}

/// The generics that the key needs: a caller would have to name the others for nothing.
fn generics(cached: &Cached, all: &Generics) -> Generics {
    let mut needed: TokenStream = cached.key.parts.iter().cloned().collect();
    for parameter in &cached.key.parameters {
        parameter.ty.to_tokens(&mut needed);
    }
    let (kept, left): (Vec<_>, Vec<_>) = all
        .params
        .iter()
        .cloned()
        .partition(|param| mentions(&needed, &name_of(param)));
    let mut generics = all.clone();
    generics.params = kept.into_iter().collect::<Punctuated<_, _>>();
    if let Some(clause) = &mut generics.where_clause {
        let is_kept =
            |tokens: TokenStream| !left.iter().any(|param| mentions(&tokens, &name_of(param)));
        let predicates = clause.predicates.iter();
        clause.predicates = predicates
            .filter(|predicate| is_kept(predicate.to_token_stream()))
            .cloned()
            .collect();
    }
    generics
}

fn name_of(param: &GenericParam) -> String {
    match param {
        GenericParam::Type(param) => param.ident.to_string(),
        GenericParam::Const(param) => param.ident.to_string(),
        GenericParam::Lifetime(param) => param.lifetime.ident.to_string(),
    }
}
