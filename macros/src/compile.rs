// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! Leads each macro through its phases.

use proc_macro2::TokenStream;
use quote::quote;

use crate::diagnostics::Diagnostics;
use crate::root::Root;
use crate::{expand, fallback, model, parse};

/// `#[derive(State)]`. What could be understood is expanded beside the errors, so that a mistake in
/// one field is not reported again at every use of the others.
pub(crate) fn state(input: TokenStream, root: Root) -> TokenStream {
    let mut diagnostics = Diagnostics::default();
    let expansion = parse::state::parse(input, &mut diagnostics)
        .and_then(|syntax| model::state::check(syntax, root, &mut diagnostics))
        .map(|state| expand::state::expand(&state));
    let errors = diagnostics.into_tokens();
    quote!(#expansion #errors)
}

/// `#[derive(Model)]`. As for a state, what could be understood is expanded beside the errors.
pub(crate) fn model(input: TokenStream, root: Root) -> TokenStream {
    let mut diagnostics = Diagnostics::default();
    let expansion = parse::model::parse(input, &mut diagnostics)
        .and_then(|syntax| model::model::check(syntax, root, &mut diagnostics))
        .map(|model| expand::model::expand(&model));
    let errors = diagnostics.into_tokens();
    quote!(#expansion #errors)
}

/// `#[step]` and `#[node]`.
pub(crate) fn step(options: TokenStream, item: &TokenStream, root: Root) -> TokenStream {
    let mut diagnostics = Diagnostics::default();
    let options = parse::step::parse_options(options, &mut diagnostics);
    let root = root.or_given(options.root.clone());
    let Some(function) = parse::step::parse_item(item, &mut diagnostics) else {
        return fallback::item(item, diagnostics);
    };
    let checked = model::step::check(options, &function, root.clone(), &mut diagnostics);
    if function.sig.receiver().is_some() {
        // It stands in an `impl`, where no type can be declared beside it.
        return fallback::item(item, diagnostics);
    }
    match checked {
        Some(step) if diagnostics.is_empty() => expand::step::expand(&step, &function),
        checked => fallback::step(&function, checked.as_ref(), &root, diagnostics),
    }
}

/// `#[scheduled(..)]`.
pub(crate) fn scheduled(options: TokenStream, item: &TokenStream, root: Root) -> TokenStream {
    let mut diagnostics = Diagnostics::default();
    let options = parse::scheduled::parse_options(options, &mut diagnostics);
    let root = root.or_given(options.step.root.clone());
    let Some(function) = parse::step::parse_item(item, &mut diagnostics) else {
        return fallback::item(item, diagnostics);
    };
    let checked = model::scheduled::check(options, &function, &root, &mut diagnostics);
    if function.sig.receiver().is_some() {
        return fallback::item(item, diagnostics);
    }
    match checked {
        Some(scheduled) if diagnostics.is_empty() => {
            expand::scheduled::expand(&scheduled, &function)
        }
        checked => {
            let place = checked.map(|scheduled| scheduled.place);
            fallback::scheduled(&function, place.as_ref(), &root, diagnostics)
        }
    }
}

/// `#[pipeline(..)]`.
pub(crate) fn pipeline(options: TokenStream, item: &TokenStream, root: Root) -> TokenStream {
    let mut diagnostics = Diagnostics::default();
    let options = parse::pipeline::parse_options(options, &mut diagnostics);
    let root = root.or_given(options.root.clone());
    let Some(structure) = parse::pipeline::parse_item(item, "pipeline", &mut diagnostics) else {
        return fallback::item(item, diagnostics);
    };
    let (state, keys) = (options.state.as_ref(), &options.keys);
    let place = model::pipeline::place(&structure, "pipeline", state, keys, &mut diagnostics);
    match model::pipeline::check(options, place.as_ref(), &root, &mut diagnostics) {
        Some(pipeline) if diagnostics.is_empty() => expand::pipeline::expand(&pipeline, &structure),
        _ => fallback::pipeline(&structure, place.as_ref(), &root, diagnostics),
    }
}

/// `#[graph(..)]`.
pub(crate) fn graph(options: TokenStream, item: &TokenStream, root: Root) -> TokenStream {
    let mut diagnostics = Diagnostics::default();
    let options = parse::graph::parse_options(options, &mut diagnostics);
    let root = root.or_given(options.root.clone());
    let Some(structure) = parse::pipeline::parse_item(item, "graph", &mut diagnostics) else {
        return fallback::item(item, diagnostics);
    };
    let (state, keys) = (options.state.as_ref(), &options.keys);
    let place = model::pipeline::place(&structure, "graph", state, keys, &mut diagnostics);
    match model::graph::check(options, place.as_ref(), &root, &mut diagnostics) {
        Some(graph) if diagnostics.is_empty() => expand::graph::expand(&graph, &structure),
        _ => fallback::pipeline(&structure, place.as_ref(), &root, diagnostics),
    }
}

/// `#[derive(Route)]`.
pub(crate) fn route(input: TokenStream, root: Root) -> TokenStream {
    let mut diagnostics = Diagnostics::default();
    let expansion = parse::route::parse(input, &mut diagnostics)
        .map(|route| expand::route::expand(&route, root));
    let errors = diagnostics.into_tokens();
    quote!(#expansion #errors)
}

/// `#[step_template("..")]`.
pub(crate) fn step_template(options: TokenStream, item: &TokenStream, root: Root) -> TokenStream {
    let mut diagnostics = Diagnostics::default();
    let options = parse::template::parse_options(options, &mut diagnostics);
    let root = root.or_given(options.root.clone());
    let Some(function) = parse::step::parse_item(item, &mut diagnostics) else {
        return fallback::item(item, diagnostics);
    };
    let name = model::template::check(&options, &function, &mut diagnostics);
    match name {
        Some(name) if diagnostics.is_empty() => expand::template::expand(&name, &function, &root),
        _ => fallback::item(item, diagnostics),
    }
}

/// `#[derive(Signal)]`.
pub(crate) fn signal(input: TokenStream, root: Root) -> TokenStream {
    let mut diagnostics = Diagnostics::default();
    let expansion = parse::signal::parse(input, &mut diagnostics)
        .map(|syntax| model::signal::check(syntax, root, &mut diagnostics))
        .map(|signal| expand::signal::expand(&signal));
    let errors = diagnostics.into_tokens();
    quote!(#expansion #errors)
}

/// `#[cached(..)]`.
pub(crate) fn cached(options: TokenStream, item: &TokenStream, root: Root) -> TokenStream {
    let mut diagnostics = Diagnostics::default();
    let options = parse::cached::parse_options(options, &mut diagnostics);
    let root = root.or_given(options.root.clone());
    let Some(function) = parse::cached::parse_item(item, &mut diagnostics) else {
        return fallback::item(item, diagnostics);
    };
    match model::cached::check(options, &function, root, &mut diagnostics) {
        Some(cached) if diagnostics.is_empty() => expand::cached::expand(&cached, &function),
        _ => fallback::function(&function, diagnostics),
    }
}

/// `#[derive(Job)]`.
pub(crate) fn job(input: TokenStream, root: Root) -> TokenStream {
    let mut diagnostics = Diagnostics::default();
    let expansion = parse::job::parse(input, &mut diagnostics)
        .map(|syntax| model::job::check(syntax, root, &mut diagnostics))
        .map(|mut job| {
            // A schedule that cannot be read asks nothing more of the type.
            job.schedule = job.schedule.take().filter(|_| diagnostics.is_empty());
            expand::job::expand(&job)
        });
    let errors = diagnostics.into_tokens();
    quote!(#expansion #errors)
}

/// `#[job_handler]`.
pub(crate) fn job_handler(options: TokenStream, item: &TokenStream, root: Root) -> TokenStream {
    let mut diagnostics = Diagnostics::default();
    let given = parse::job_handler::parse_options(options, &mut diagnostics);
    let root = root.or_given(given);
    let Some(function) = parse::job_handler::parse_item(item, &mut diagnostics) else {
        return fallback::item(item, diagnostics);
    };
    match model::job_handler::check(&function, root, &mut diagnostics) {
        Some(handler) if diagnostics.is_empty() => expand::job_handler::expand(&handler, &function),
        _ => fallback::function(&function, diagnostics),
    }
}
