// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! The function unchanged, beside it the type that implements `Handler`, and its registration.

use proc_macro2::{Ident, Span, TokenStream};
use quote::{format_ident, quote, quote_spanned};
use syn::ext::IdentExt;
use syn::spanned::Spanned;
use syn::{ItemFn, Type};

use super::cfgs;
use crate::model::job_handler::{JobHandler, Parameter};

/// Expands a handler.
pub(crate) fn expand(handler: &JobHandler, function: &ItemFn) -> TokenStream {
    let (ident, job) = (&function.sig.ident, &handler.job);
    let private = handler.root.private();
    let cfgs: Vec<_> = cfgs(&function.attrs).collect();
    let marker = marker(function);
    let resources = resource_keys(handler);
    let body = call(handler, ident);
    let handler_trait = handler.root.private_at(job.span());
    let handler_trait = quote_spanned!(job.span()=> #handler_trait::Handler);
    quote! {
        #[allow(clippy::unused_async, clippy::needless_pass_by_value)]
        #function
        #marker
        #(#cfgs)*
        #[automatically_derived]
        impl #handler_trait for #ident {
            type Job = #job;
            #resources
            #body
        }
        #(#cfgs)*
        #private::inventory::submit! {
            #private::Registration::of::<#ident>(::core::module_path!())
        }
    }
}

/// The type that has the name of the function. With braces, so that it takes no place among values.
fn marker(function: &ItemFn) -> TokenStream {
    let (visibility, ident) = (&function.vis, &function.sig.ident);
    let docs = format!("The handler [`{0}`](fn@{0}) as a type.", ident.unraw());
    let cfgs = cfgs(&function.attrs);
    quote! {
        #(#cfgs)*
        #[doc = #docs]
        #[allow(non_camel_case_types, dead_code)]
        #visibility struct #ident {}
    }
}

fn resources(handler: &JobHandler) -> impl Iterator<Item = &Type> {
    let parameters = handler.parameters.iter();
    parameters.filter_map(|parameter| match parameter {
        Parameter::Context => None,
        Parameter::Resource(ty) => Some(&**ty),
    })
}

fn resource_keys(handler: &JobHandler) -> Option<TokenStream> {
    let private = handler.root.private();
    let resources: Vec<&Type> = resources(handler).collect();
    if resources.is_empty() {
        return None;
    }
    Some(quote! {
        fn resources() -> ::std::vec::Vec<#private::ResourceKey> {
            ::std::vec![#(#private::ResourceKey::of::<#resources>()),*]
        }
    })
}

fn call(handler: &JobHandler, function: &Ident) -> TokenStream {
    let (private, job_type) = (handler.root.private(), &handler.job);
    let mixed = |name: &str| Ident::new(name, Span::mixed_site());
    let (job, ctx, given, error) = (mixed("job"), mixed("ctx"), mixed("given"), mixed("error"));
    let types: Vec<&Type> = resources(handler).collect();
    let names: Vec<Ident> = (0..types.len())
        .map(|position| format_ident!("resource_{position}", span = Span::mixed_site()))
        .collect();
    let mut next = names.iter();
    let arguments = handler.parameters.iter().map(|parameter| match parameter {
        Parameter::Context => quote!(&#ctx),
        Parameter::Resource(_) => {
            let name = next.next();
            quote!(#name)
        }
    });
    let arguments: Vec<TokenStream> = arguments.collect();
    let at_output = handler.output.span();
    let outcome = handler.root.private_at(at_output);
    let mut callee = function.clone();
    callee.set_span(function.span().located_at(at_output));
    let result = quote_spanned!(at_output=> #callee(#job #(, #arguments)*).await);
    let error_way = quote_spanned!(at_output=> (&#error).way_to_job_error().error(#error));
    let finish = quote_spanned! {at_output=>
        use #outcome::outcome::{Convert as _, Show as _};
        match #result {
            ::core::result::Result::Ok(()) => ::core::result::Result::Ok(()),
            ::core::result::Result::Err(#error) => ::core::result::Result::Err(#error_way),
        }
    };
    let future = quote_spanned! {function.span()=>
        ::std::boxed::Box::pin(async move {
            #(let #names = #given.get::<#types>()?;)*
            #finish
        })
    };
    quote! {
        #[allow(unused_imports, unused_variables, clippy::needless_borrow, clippy::items_after_statements)]
        fn call(
            #job: #job_type,
            #ctx: #private::JobContext,
            #given: #private::Resources,
        ) -> #private::BoxFuture<'static, #private::JobResult> {
            #future
        }
    }
}
