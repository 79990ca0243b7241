// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! The `Job` of a type, and its schedule where it has one.

use proc_macro2::{Ident, Span, TokenStream};
use quote::{format_ident, quote, quote_spanned};

use crate::model::job::{Job, Limit, Unique};
use crate::model::schedule::Schedule;
use crate::root::Root;

/// Expands a job.
pub(crate) fn expand(job: &Job) -> TokenStream {
    let Job {
        ident,
        name,
        tenant,
        limit,
        schedule,
        root,
        ..
    } = job;
    let private = root.private();
    let settings = settings(job);
    let tenant = tenant.as_ref().map(|field| {
        let key = root.private_at(field.span());
        let this = receiver(field);
        let key = quote_spanned!(field.span()=> #key::key(&#this.#field));
        quote! {
            fn tenant(&self) -> ::core::option::Option<::std::borrow::Cow<'_, str>> {
                #key
            }
        }
    });
    let limit = limit.as_ref().map(|limit| self::limit(limit, root));
    let schedule = schedule
        .as_ref()
        .map(|schedule| self::schedule(ident, schedule, root));
    quote! {
        #[automatically_derived]
        impl #private::Job for #ident {
            const NAME: &'static str = #name;
            #settings
            #tenant
            #limit
        }
        #schedule
    }
}

/// What the type says of how its jobs are run.
fn settings(job: &Job) -> Option<TokenStream> {
    let private = job.root.private();
    let mut calls = TokenStream::new();
    if let Some(queue) = &job.queue {
        calls.extend(quote!(.queue(#queue)));
    }
    if let Some(attempts) = job.retry.max_attempts {
        // At most 1,000, as was checked.
        let attempts = u16::try_from(attempts).unwrap_or(u16::MAX);
        calls.extend(quote!(.max_attempts(#attempts)));
    }
    if let Some(timeout) = job.retry.timeout_ms {
        calls.extend(quote!(.timeout(#private::milliseconds(#timeout))));
    }
    if let Some(delays) = &job.retry.backoff_ms {
        calls.extend(quote!(.backoff(&[#(#private::milliseconds(#delays)),*])));
    }
    if let Some(priority) = job.priority {
        calls.extend(quote!(.priority(#priority)));
    }
    if let Some(unique) = &job.unique {
        let unique = match unique {
            Unique::Word(variant) => {
                let variant = format_ident!("{variant}");
                quote!(#private::Unique::#variant)
            }
            Unique::For(time) => quote!(#private::Unique::For(#private::milliseconds(#time))),
        };
        calls.extend(quote!(.unique(#unique)));
    }
    if calls.is_empty() {
        return None;
    }
    Some(quote! {
        const SETTINGS: #private::JobSettings = #private::JobSettings::new() #calls;
    })
}

fn limit(limit: &Limit, root: &Root) -> TokenStream {
    let private = root.private();
    let field = if let Some(field) = &limit.key {
        let this = receiver(field);
        quote_spanned!(field.span()=> ::core::option::Option::Some(&#this.#field))
    } else {
        quote!(::core::option::Option::None)
    };
    let concurrency = limit.concurrency.iter();
    let rate = limit
        .rate
        .iter()
        .map(|(count, per)| quote!(.rate(#count, #private::milliseconds(#per))));
    quote! {
        fn limit(&self) -> ::core::option::Option<#private::Limit> {
            let limit = #private::limit(<Self as #private::Job>::NAME, #field)?;
            ::core::option::Option::Some(limit #(.concurrency(#concurrency))* #(#rate)*)
        }
    }
}

/// The receiver of the method, with its hygiene and yet at the option that names the field: a field of a
/// type that does not fit is reported there.
fn receiver(field: &Ident) -> Ident {
    Ident::new("self", Span::call_site().located_at(field.span()))
}

/// The registration of a schedule; a type without a default is reported at its expression.
fn schedule(ident: &Ident, schedule: &Schedule, root: &Root) -> TokenStream {
    let Schedule { cron, timezone, .. } = schedule;
    let private = root.private();
    let at_cron = root.private_at(cron.span());
    let declare = quote_spanned!(cron.span()=> #at_cron::cron_by_default::<#ident>);
    quote! {
        #private::inventory::submit! {
            #private::CronRegistration::new(
                <#ident as #private::Job>::NAME,
                || #declare(#cron, #timezone),
            )
        }
    }
}
