// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! Retry options as calls.

use proc_macro2::TokenStream;
use quote::quote;

use crate::model::retry::Retry;
use crate::root::Root;

/// `fn retry()` of a step.
pub(crate) fn policy(retry: &Retry, root: &Root) -> Option<TokenStream> {
    if retry.is_default() {
        return None;
    }
    let private = root.private();
    let max_attempts = option(retry.max_attempts.map(|number| quote!(#number)));
    let backoff = retry.backoff_ms.as_ref();
    let backoff = option(backoff.map(|delays| quote!(&[#(#delays),*])));
    let timeout = option(retry.timeout_ms.map(|delay| quote!(#delay)));
    let heartbeat = retry
        .heartbeat_ms
        .map(|limit| quote!(.with_heartbeat(#private::milliseconds(#limit))));
    Some(quote! {
        fn retry() -> #private::RetryPolicy {
            #private::retry_policy(#max_attempts, #backoff, #timeout) #heartbeat
        }
    })
}

fn option(value: Option<TokenStream>) -> TokenStream {
    value.map_or_else(
        || quote!(::core::option::Option::None),
        |value| quote!(::core::option::Option::Some(#value)),
    )
}

/// The calls on a `Node` that replace what its step says.
pub(crate) fn calls(retry: &Retry, root: &Root) -> TokenStream {
    let private = root.private();
    let max_attempts = retry.max_attempts.iter();
    let timeout = retry.timeout_ms.iter();
    let heartbeat = retry.heartbeat_ms.iter();
    let backoff = retry
        .backoff_ms
        .iter()
        .map(|delays| quote!(.backoff([#(#private::milliseconds(#delays)),*])));
    quote! {
        #(.max_attempts(#max_attempts))*
        #(#backoff)*
        #(.timeout(#private::milliseconds(#timeout)))*
        #(.heartbeat(#private::milliseconds(#heartbeat)))*
    }
}
