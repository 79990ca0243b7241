// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! A schedule as a call on the builder.

use proc_macro2::{Ident, TokenStream};
use quote::{ToTokens, format_ident, quote, quote_spanned};
use syn::Type;
use syn::spanned::Spanned;

use crate::model::schedule::Schedule;
use crate::root::Root;

/// The call that gives a workflow its schedule.
pub(crate) fn call(schedule: &Schedule, state: &Type, root: &Root) -> TokenStream {
    let private = root.private();
    let Schedule {
        cron,
        timezone,
        overlap,
        catch_up,
        input,
    } = schedule;
    let overlap: Ident = format_ident!("{overlap}");
    let catch_up: Ident = format_ident!("{catch_up}");
    let schedule = quote! {
        #private::schedule(
            #cron, #timezone, #private::Overlap::#overlap, #private::CatchUp::#catch_up,
        )
    };
    // What does not fit is shown at the function, or at the expression that needs a default.
    if let Some(input) = input {
        quote_spanned!(input.span()=> .schedule_as(#schedule, #input))
    } else {
        let span = cron.span();
        let default = root.private_at(span);
        let state = state.to_token_stream().into_iter().map(|mut token| {
            token.set_span(token.span().located_at(span));
            token
        });
        let default = quote_spanned!(span=> <#(#state)* as #default::DefaultInput>::default_input);
        quote_spanned!(span=> .schedule_as(#schedule, #default))
    }
}
