// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! The function with its body handed to the cache, and beside it what makes its key.

mod beside;
mod loader;

use proc_macro2::{Ident, Span, TokenStream};
use quote::{quote, quote_spanned};
use syn::spanned::Spanned;
use syn::{Expr, ExprLit, ItemFn, Lit};

use crate::model::cached::{CachePlace, Cached, Policy};
use crate::root::Root;

/// Expands a cached function.
pub(crate) fn expand(cached: &Cached, function: &ItemFn) -> TokenStream {
    let private = cached.root.private();
    let output = &cached.output;
    // What does not fit the cache is seen at the type that is returned.
    let at_output = cached.root.private_at(output.span());
    let (cache, key, tags, kind) = (local("cache"), local("key"), local("tags"), local("kind"));
    let (kept_as, refused, load) = (local("policy"), local("refused"), local("loader"));
    let (found_cache, made_key) = (find_cache(cached, &cache), self::key(cached));
    let made_tags = self::tags(&cached.tags);
    let checks = checks(cached, &kind);
    let policy = policy(&cached.policy, &private);
    let refusal = if let Some(place) = cached.policy.fail_closed {
        let private = cached.root.private_at(place);
        quote_spanned!(place=> ::core::option::Option::Some(#private::refusal(#kind)))
    } else {
        quote!(::core::option::Option::None)
    };
    let loader = loader::expand(cached, function);
    let call = quote_spanned! {output.span()=>
        #at_output::call(#kept_as, #cache, #key, #tags, #kind, #refused, #load).await
    };
    let ItemFn {
        attrs, vis, sig, ..
    } = function;
    let (body, beside) = (
        loader::body(cached, function),
        beside::expand(cached, function),
    );
    quote! {
        #(#attrs)*
        #vis #sig {
            #found_cache
            let #key = #made_key;
            let #tags: ::std::vec::Vec<::std::string::String> = #made_tags;
            let #kind = {
                #[allow(unused_imports)]
                use #private::{
                    FallibleKind as _, FallibleOptionalKind as _, OptionalKind as _, PlainKind as _,
                };
                (&&&#private::Probe::<#output>::of_output()).kind()
            };
            #checks
            let #kept_as: &'static #private::Policy = {
                static POLICY: #private::Policy = #policy;
                &POLICY
            };
            let #refused = #refusal;
            let #load = #loader;
            #call
        }
        #body
        #beside
    }
}

/// A name that no name of the function can be.
fn local(name: &str) -> Ident {
    Ident::new(name, Span::mixed_site())
}

/// `let cache: &Cache`, not borrowed from anything that the body takes over.
fn find_cache(cached: &Cached, cache: &Ident) -> TokenStream {
    let private = cached.root.private();
    let (found, is_taken) = match &cached.cache {
        CachePlace::Parameter {
            ident,
            is_reference: true,
        } => (quote!(#ident), false),
        CachePlace::Parameter { ident, .. } => (quote!(&#ident), true),
        CachePlace::Expression {
            expression,
            is_taken,
        } => {
            let at = expression.span();
            (quote_spanned!(at=> &(#expression)), *is_taken)
        }
    };
    if is_taken {
        quote! {
            let #cache = ::core::clone::Clone::clone(#private::cache_of(#found));
            let #cache: &#private::Cache = &#cache;
        }
    } else {
        quote!(let #cache: &#private::Cache = #private::cache_of(#found);)
    }
}

/// `Result<Key, KeyError>`.
fn key(cached: &Cached) -> TokenStream {
    let private = cached.root.private();
    let (name, parts) = (&cached.namespace, &cached.key.parts);
    let version = cached.policy.version.iter();
    let closed = cached
        .policy
        .fail_closed
        .map(|_| quote!(.fail_closed()))
        .into_iter();
    let parts = if parts.is_empty() {
        // Of a function that is cached as a whole.
        quote!("_")
    } else {
        quote!((#(#parts,)*))
    };
    quote!(#private::Namespace::new(#name) #(.version(#version))* #(#closed)* .key(#parts))
}

fn tags(tags: &[Expr]) -> TokenStream {
    let tags = tags.iter().map(|tag| match tag {
        Expr::Lit(ExprLit {
            lit: Lit::Str(text),
            ..
        }) => quote!(::std::format!(#text)),
        other => quote_spanned!(other.span()=> ::std::string::ToString::to_string(&(#other))),
    });
    quote!(::std::vec![#(#tags),*])
}

/// What an option asks of the return type, seen at that option.
fn checks(cached: &Cached, kind: &Ident) -> TokenStream {
    let policy = &cached.policy;
    let check = |place: Option<Span>, name: &str| {
        let place = place?;
        let (private, name) = (cached.root.private_at(place), Ident::new(name, place));
        Some(quote_spanned!(place=> #private::#name(#kind);))
    };
    let negative = policy.negative_ttl_ms.map(|(place, _)| place);
    let stale_if_error = policy.stale_if_error_ms.map(|(place, _)| place);
    let negative = check(negative, "may_be_absent");
    let stale_if_error = check(stale_if_error, "may_fail");
    quote!(#negative #stale_if_error)
}

fn policy(policy: &Policy, private: &TokenStream) -> TokenStream {
    let Policy {
        ttl_ms,
        negative_ttl_ms,
        stale_ms,
        stale_if_error_ms,
        early,
        single_flight,
        lease_ms,
        jitter,
        local_ms,
        version: _,
        fail_closed: _,
    } = policy;
    let negative_ttl_ms = negative_ttl_ms.iter().map(|(_, time)| time);
    let stale_if_error_ms = stale_if_error_ms.iter().map(|(_, time)| time);
    let (stale_ms, early, lease_ms) = (stale_ms.iter(), early.iter(), lease_ms.iter());
    let (jitter, local_ms) = (jitter.iter(), local_ms.iter());
    let single_flight = single_flight
        .iter()
        .map(|variant| Ident::new(variant, Span::call_site()));
    quote! {
        #private::Policy::new(#ttl_ms)
            #(.negative_ttl(#negative_ttl_ms))*
            #(.stale(#stale_ms))*
            #(.stale_if_error(#stale_if_error_ms))*
            #(.early(#early))*
            #(.single_flight(#private::SingleFlight::#single_flight))*
            #(.lease(#lease_ms))*
            #(.jitter(#jitter))*
            #(.local(#local_ms))*
    }
}

/// The key of these arguments, for what stands beside the function.
fn key_type(root: &Root) -> TokenStream {
    let private = root.private();
    quote!(::core::result::Result<#private::Key, #private::KeyError>)
}
