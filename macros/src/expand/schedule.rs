// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! A schedule as a call around the builder.

use proc_macro2::{Ident, TokenStream};
use quote::{format_ident, quote, quote_spanned};
use syn::spanned::Spanned;

use crate::model::schedule::Schedule;
use crate::root::Root;

/// The builder of a pipeline or a graph, with its schedule where it has one.
pub(crate) fn with_schedule(
    builder: TokenStream,
    schedule: Option<&Schedule>,
    root: &Root,
) -> TokenStream {
    let Some(schedule) = schedule else {
        return builder;
    };
    let Schedule {
        cron,
        timezone,
        overlap,
        catch_up,
        input,
    } = schedule;
    let private = root.private();
    let (overlap, catch_up) = (format_ident!("{overlap}"), format_ident!("{catch_up}"));
    let schedule = quote! {
        #private::schedule(
            #cron, #timezone, #private::Overlap::#overlap, #private::CatchUp::#catch_up,
        )
    };
    // What does not fit is shown at the function, or at the expression that needs a default: the builder
    // has a name there, so that it is not shown at all of the attribute. (A span of our own hygiene would
    // be shown there as well.)
    let span = input.as_ref().map_or_else(|| cron.span(), Spanned::span);
    let named = Ident::new("__builder", span);
    let call = if let Some(input) = input {
        quote_spanned!(span=> #named.schedule_as(#schedule, #input))
    } else {
        quote_spanned!(span=> #named.schedule_by_default(#schedule))
    };
    quote! {
        {
            let #named = #builder;
            #call
        }
    }
}
