// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! The step, and beside it the workflow of that step alone.

use proc_macro2::TokenStream;
use quote::quote;
use syn::ItemFn;

use super::schedule::with_schedule;
use super::{pipeline, step};
use crate::model::scheduled::{Scheduled, structure};

/// Expands a scheduled step.
pub(crate) fn expand(scheduled: &Scheduled, function: &ItemFn) -> TokenStream {
    let Scheduled {
        step: one,
        place,
        name,
        version,
        schedule,
    } = scheduled;
    let (root, state, ident) = (&one.root, &place.state, &function.sig.ident);
    let private = root.private();
    let step = step::expand(one, function);
    let builder = quote! {
        #private::Pipeline::<#state>::new(#name, #version)
            .step(#private::Node::<#state>::of::<#ident>())
    };
    let builder = with_schedule(builder, Some(schedule), root);
    let declaration = quote!(#builder.build());
    let structure = structure(function);
    let workflow = pipeline::workflow(&structure, place, name, *version, &declaration, root);
    quote!(#step #workflow)
}
