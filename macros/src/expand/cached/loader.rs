// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! The body, as something that the cache may run.

use proc_macro2::{Ident, Span, TokenStream};
use quote::{ToTokens, format_ident, quote, quote_spanned};
use syn::ext::IdentExt;
use syn::spanned::Spanned;
use syn::{GenericParam, ItemFn, Signature};

use super::local;
use crate::expand::cfgs;
use crate::model::cached::{Cached, Kept, Loader, mentions};

/// The loader that the call is given.
pub(super) fn expand(cached: &Cached, function: &ItemFn) -> TokenStream {
    let private = cached.root.private();
    match &cached.loader {
        Loader::InLine => {
            let block = typed_block(cached, function);
            quote!(#private::InLine::new(move || async move { #block }))
        }
        Loader::Behind(kept) => {
            let is_method = function.sig.receiver().is_some();
            let block = function.block.to_token_stream();
            // A method's body is called with all of them.
            let is_used =
                |kept: &&Kept| is_method || mentions(&block, &kept.ident.unraw().to_string());
            let kept: Vec<&Kept> = kept.iter().filter(is_used).collect();
            let (held, given) = (hold(cached, &kept), give(&kept));
            let (this, run) = if is_method {
                of_method(cached, function, &kept)
            } else {
                (TokenStream::new(), typed_block(cached, function))
            };
            quote! {
                #private::Behind::new(|| {
                    #this
                    #held
                    async move {
                        #given
                        #run
                    }
                })
            }
        }
    }
}

/// The body as a method of its own, which a refresh calls on a clone of `self`. A name for `self` can
/// be had in no other way.
pub(super) fn body(cached: &Cached, function: &ItemFn) -> Option<TokenStream> {
    let Loader::Behind(_) = &cached.loader else {
        return None;
    };
    function.sig.receiver()?;
    let cfgs = cfgs(&function.attrs);
    let block = &function.block;
    let mut signature = function.sig.clone();
    signature.ident = body_name(&function.sig);
    Some(quote! {
        #(#cfgs)*
        #[doc(hidden)]
        #[allow(clippy::unused_async, clippy::unused_self)]
        #signature #block
    })
}

fn body_name(signature: &Signature) -> Ident {
    let name = signature.ident.unraw();
    format_ident!("__cached_{name}", span = signature.ident.span())
}

/// The block, whose type is known from its first line on, so that `?` in it can convert.
fn typed_block(cached: &Cached, function: &ItemFn) -> TokenStream {
    let (output, block) = (&cached.output, &function.block);
    let never = local("never");
    quote_spanned! {block.span()=>
        #[allow(
            unreachable_code,
            clippy::diverging_sub_expression,
            clippy::empty_loop,
            clippy::let_unit_value,
            clippy::let_with_type_underscore,
            clippy::needless_return,
            clippy::never_loop,
            clippy::unreachable
        )]
        if false {
            let #never: #output = loop {};
            return #never;
        }
        #block
    }
}

/// What a refresh holds of each reference.
fn hold(cached: &Cached, kept: &[&Kept]) -> TokenStream {
    let held = kept.iter().filter_map(|kept| {
        let (ident, referent) = (&kept.ident, kept.referent.as_ref()?);
        let private = cached.root.private_at(referent.span());
        let owned = quote_spanned!(referent.span()=> #private::keep(#ident));
        Some(quote!(let #ident = #owned;))
    });
    held.collect()
}

/// What the body is given of what is held.
fn give(kept: &[&Kept]) -> TokenStream {
    let given = kept.iter().filter_map(|kept| {
        let (ident, referent) = (&kept.ident, kept.referent.as_ref()?);
        let mutable = kept.is_mutable.then(|| quote!(mut));
        Some(quote! {
            let #mutable #ident: &#referent = ::core::borrow::Borrow::borrow(&#ident);
        })
    });
    given.collect()
}

/// What is held of `self`, and the call of the body on it.
fn of_method(cached: &Cached, function: &ItemFn, kept: &[&Kept]) -> (TokenStream, TokenStream) {
    let signature = &function.sig;
    let (this, body) = (local("this"), body_name(signature));
    let receiver = signature
        .receiver()
        .map_or_else(Span::call_site, |receiver| receiver.self_token.span);
    let private = cached.root.private_at(receiver);
    let names = kept.iter().map(|kept| &kept.ident);
    let arguments: Vec<_> = signature
        .generics
        .params
        .iter()
        .filter_map(|param| match param {
            GenericParam::Type(param) => Some(&param.ident),
            GenericParam::Const(param) => Some(&param.ident),
            GenericParam::Lifetime(_) => None,
        })
        .collect();
    let turbofish = (!arguments.is_empty()).then(|| quote!(::<#(#arguments),*>));
    (
        quote_spanned!(receiver=> let #this = #private::keep(self);),
        quote!(Self::#body #turbofish(&#this, #(#names),*).await),
    )
}
