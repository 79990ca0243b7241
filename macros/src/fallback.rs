// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! What is emitted beside the errors: the user's item, and enough of the expansion that one mistake
//! is not reported again wherever the item is used.

use proc_macro2::TokenStream;
use quote::quote;
use syn::{ItemFn, ItemStruct};

use crate::diagnostics::Diagnostics;
use crate::expand;
use crate::model;
use crate::model::pipeline::Place;
use crate::model::step::Step;
use crate::root::Root;

/// The item as it was written.
pub(crate) fn item(item: &TokenStream, diagnostics: Diagnostics) -> TokenStream {
    let errors = diagnostics.into_tokens();
    quote!(#item #errors)
}

/// The function as it was written; what it takes for the attribute alone is not told to be unused.
pub(crate) fn function(function: &ItemFn, diagnostics: Diagnostics) -> TokenStream {
    let errors = diagnostics.into_tokens();
    quote! {
        #[allow(unused)]
        #function
        #errors
    }
}

/// The function, and a step on every state that does nothing.
pub(crate) fn step(
    function: &ItemFn,
    checked: Option<&Step>,
    root: &Root,
    diagnostics: Diagnostics,
) -> TokenStream {
    let writes = checked.and_then(|step| expand::step::declared(step, function));
    let (private, ident) = (root.private(), &function.sig.ident);
    let marker = expand::step::marker(function);
    let cfgs = expand::cfgs(&function.attrs);
    let errors = diagnostics.into_tokens();
    quote! {
        #[allow(unused)]
        #function
        #marker
        #(#cfgs)*
        impl<S: #private::State> #private::Step<S> for #ident {
            const NAME: &'static str = "";
            fn call(
                _: #private::Ctx,
                _: #private::Arc<S>,
                _: #private::Resources,
            ) -> #private::BoxFuture<'static, #private::StepResult<S::Update>> {
                ::std::boxed::Box::pin(async { ::core::result::Result::Ok(::core::default::Default::default()) })
            }
        }
        #writes
        #errors
    }
}

/// The function with its step, and the struct with its workflow.
pub(crate) fn scheduled(
    function: &ItemFn,
    place: Option<&Place>,
    root: &Root,
    diagnostics: Diagnostics,
) -> TokenStream {
    let structure = model::scheduled::structure(function);
    let step = step(function, None, root, diagnostics);
    let workflow = pipeline(&structure, place, root, Diagnostics::default());
    quote!(#step #workflow)
}

/// The struct, and a workflow without steps where its state is known.
pub(crate) fn pipeline(
    structure: &ItemStruct,
    place: Option<&Place>,
    root: &Root,
    diagnostics: Diagnostics,
) -> TokenStream {
    let private = root.private();
    let structure_tokens = expand::pipeline::structure(structure, root);
    let errors = diagnostics.into_tokens();
    let workflow = place.map(|Place { ident, state }| {
        let cfgs = expand::cfgs(&structure.attrs);
        quote! {
            #(#cfgs)*
            impl #private::Workflow for #ident {
                type State = #state;
                const NAME: &'static str = "";
                const VERSION: u32 = 1;
                fn declare() -> #private::Declaration {
                    #private::Pipeline::<#state>::new("", 1).build()
                }
            }
        }
    });
    quote!(#structure_tokens #workflow #errors)
}
