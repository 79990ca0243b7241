// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! The function unchanged, and beside it the type that implements `Step`.

mod writes;

use proc_macro2::{Ident, Span, TokenStream};
use quote::{format_ident, quote, quote_spanned};
use syn::ext::IdentExt;
use syn::spanned::Spanned;
use syn::{ItemFn, Path, Type};

use super::{cfgs, retry};
use crate::model::step::{StateForm, Step};
use crate::root::Root;

/// Expands a step.
pub(crate) fn expand(step: &Step, function: &ItemFn) -> TokenStream {
    let (ident, state) = (&function.sig.ident, &step.state);
    let name = ident.unraw().to_string();
    let cfgs = cfgs(&function.attrs);
    let marker = marker(function);
    let retry = retry::policy(&step.retry, &step.root);
    let resources = resource_keys(step);
    let compensation = step.compensation.as_ref().map(|path| {
        let private = step.root.private();
        let undo = undo(path, state, &step.root);
        quote! {
            fn compensation() -> ::core::option::Option<#private::Undo<#state>> {
                ::core::option::Option::Some(#undo)
            }
        }
    });
    let body = call(step, ident);
    let writes = step.writes.as_ref();
    let declared = writes.map(writes::constant);
    let update = self::declared(step, function);
    let step_trait = step.root.private_at(state.span());
    let step_trait = quote_spanned!(state.span()=> #step_trait::Step<#state>);
    quote! {
        #[allow(clippy::unused_async, clippy::needless_pass_by_value)]
        #function
        #marker
        #(#cfgs)*
        #[automatically_derived]
        impl #step_trait for #ident {
            const NAME: &'static str = #name;
            #declared
            #retry
            #resources
            #compensation
            #body
        }
        #update
    }
}

/// The step of that path as one that undoes another.
pub(super) fn undo(step: &Path, state: &Type, root: &Root) -> TokenStream {
    let private = root.private();
    quote_spanned!(step.span()=> #private::Undo::<#state>::of::<#step>())
}

/// The type of what a step declares to write.
pub(crate) fn declared(step: &Step, function: &ItemFn) -> Option<TokenStream> {
    let writes = step.writes.as_ref()?;
    Some(writes::update(writes, step, function))
}

/// The type that has the name of the function. With braces, so that it takes no place among values.
pub(crate) fn marker(function: &ItemFn) -> TokenStream {
    let (visibility, ident) = (&function.vis, &function.sig.ident);
    let docs = format!("The step [`{0}`](fn@{0}) as a type.", ident.unraw());
    let cfgs = cfgs(&function.attrs);
    quote! {
        #(#cfgs)*
        #[doc = #docs]
        #[allow(non_camel_case_types, dead_code)]
        #visibility struct #ident {}
    }
}

fn resource_keys(step: &Step) -> Option<TokenStream> {
    let (private, resources) = (step.root.private(), &step.resources);
    if resources.is_empty() {
        return None;
    }
    Some(quote! {
        fn resources() -> ::std::vec::Vec<#private::ResourceKey> {
            ::std::vec![#(#private::ResourceKey::of::<#resources>()),*]
        }
    })
}

fn call(step: &Step, function: &Ident) -> TokenStream {
    let (private, state_type) = (step.root.private(), &step.state);
    let ctx = Ident::new("ctx", Span::mixed_site());
    let state = Ident::new("state", Span::mixed_site());
    let resources = Ident::new("resources", Span::mixed_site());
    let names: Vec<Ident> = (0..step.resources.len())
        .map(|position| format_ident!("resource_{position}", span = Span::mixed_site()))
        .collect();
    let types: &[Type] = &step.resources;
    let state_argument = match step.form {
        StateForm::Reference => quote!(&#state),
        StateForm::Shared => quote!(#state),
        StateForm::Owned => quote!(#private::Arc::unwrap_or_clone(#state)),
    };
    let at_output = step.output.span();
    let outcome = step.root.private_at(at_output);
    let mut callee = function.clone();
    callee.set_span(function.span().located_at(at_output));
    let result = quote_spanned!(at_output=> #callee(&#ctx, #state_argument #(, #names)*).await);
    let finish = match &step.writes {
        None => quote_spanned! {at_output=>
            #outcome::StepOutcome::<#state_type>::finish(#result)
        },
        Some(writes) => {
            let declared = &writes.ident;
            quote_spanned! {at_output=>
                #outcome::DeclaredOutcome::<#state_type, #declared>::finish(#result)
            }
        }
    };
    let future = quote_spanned! {function.span()=>
        ::std::boxed::Box::pin(async move {
            #(let #names = #resources.get::<#types>()?;)*
            #finish
        })
    };
    let at_state = state_type.span();
    let state_trait = step.root.private_at(at_state);
    let update = quote_spanned!(at_state=> <#state_type as #state_trait::State>::Update);
    quote! {
        fn call(
            #ctx: #private::Ctx,
            #state: #private::Arc<#state_type>,
            #resources: #private::Resources,
        ) -> #private::BoxFuture<'static, #private::StepResult<#update>> {
            #future
        }
    }
}
