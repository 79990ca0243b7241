// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! A scheduled step: a step, and a workflow of it alone that is named after the function.

use proc_macro2::Ident;
use syn::ext::IdentExt;
use syn::{ItemFn, ItemStruct, LitStr, parse_quote};

use super::name;
use super::pipeline::{Place, check_name, check_version, require};
use super::schedule::{self, Schedule};
use super::step::{self, Step};
use crate::diagnostics::Diagnostics;
use crate::expand::cfgs;
use crate::parse::pipeline::{NAME, VERSION};
use crate::parse::schedule::CRON;
use crate::parse::scheduled::ScheduledOptions;
use crate::root::Root;

/// A checked scheduled step.
#[derive(Debug)]
pub(crate) struct Scheduled {
    pub(crate) step: Step,
    pub(crate) place: Place,
    pub(crate) name: LitStr,
    pub(crate) version: u32,
    pub(crate) schedule: Schedule,
}

/// Checks a scheduled step. `None` when a part of it is missing; the errors tell which.
pub(crate) fn check(
    options: ScheduledOptions,
    function: &ItemFn,
    root: &Root,
    diagnostics: &mut Diagnostics,
) -> Option<Scheduled> {
    let needed = [NAME, VERSION, CRON];
    require("#[scheduled]", &needed, &options.keys, diagnostics);
    check_name(options.name.as_ref(), diagnostics);
    let version = options
        .version
        .and_then(|version| check_version(&version, diagnostics));
    // That the expression misses is said above.
    let schedule = match options.schedule.cron {
        Some(_) => schedule::check(options.schedule, diagnostics),
        None => None,
    };
    let step = step::check(options.step, function, root.clone(), diagnostics)?;
    Some(Scheduled {
        place: Place {
            ident: workflow(function),
            state: step.state.clone(),
        },
        step,
        name: options.name?,
        version: version?,
        schedule: schedule?,
    })
}

/// The name of the function in camel case: `backup_create` makes `BackupCreate`.
fn workflow(function: &ItemFn) -> Ident {
    let ident = &function.sig.ident;
    Ident::new(&name::camel_case(&ident.unraw().to_string()), ident.span())
}

/// The unit struct that names the workflow.
pub(crate) fn structure(function: &ItemFn) -> ItemStruct {
    let (visibility, ident) = (&function.vis, workflow(function));
    let docs = format!(
        "The scheduled workflow of the one step [`{0}`](fn@{0}), to start it by hand.",
        function.sig.ident.unraw()
    );
    let cfgs = cfgs(&function.attrs);
    parse_quote! {
        #(#cfgs)*
        #[doc = #docs]
        #[allow(dead_code)]
        #visibility struct #ident;
    }
}
