// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! The attribute and derive macros of ForkTex. Use them through `forktex`, `forktex-cache`,
//! `forktex-db`, `forktex-flow` or `forktex-queue`, where their documentation stands.
//!
//! Each macro passes three phases: `parse` reads what is written, `model` checks what it means, and
//! `expand`, which cannot fail, writes the code. The first two report every mistake that they find.
//! Each macro has two entries: one expands to the paths of its own crate, one to those of the facade.

mod compile;
mod diagnostics;
mod expand;
mod fallback;
mod model;
mod parse;
mod root;

use proc_macro::TokenStream;

use root::Root;

/// Documented where `forktex_flow` re-exports it.
#[proc_macro_derive(State, attributes(reduce, state))]
pub fn derive_state(input: TokenStream) -> TokenStream {
    compile::state(input.into(), Root::Flow).into()
}

#[doc(hidden)]
#[proc_macro_derive(StateThroughFacade, attributes(reduce, state))]
pub fn derive_state_through_facade(input: TokenStream) -> TokenStream {
    compile::state(input.into(), Root::Facade).into()
}

/// Documented where `forktex_flow` re-exports it.
#[proc_macro_attribute]
pub fn step(options: TokenStream, item: TokenStream) -> TokenStream {
    compile::step(options.into(), &item.into(), Root::Flow).into()
}

#[doc(hidden)]
#[proc_macro_attribute]
pub fn step_through_facade(options: TokenStream, item: TokenStream) -> TokenStream {
    compile::step(options.into(), &item.into(), Root::Facade).into()
}

/// Documented where `forktex_flow` re-exports it.
#[proc_macro_attribute]
pub fn node(options: TokenStream, item: TokenStream) -> TokenStream {
    compile::step(options.into(), &item.into(), Root::Flow).into()
}

#[doc(hidden)]
#[proc_macro_attribute]
pub fn node_through_facade(options: TokenStream, item: TokenStream) -> TokenStream {
    compile::step(options.into(), &item.into(), Root::Facade).into()
}

/// Documented where `forktex_flow` re-exports it.
#[proc_macro_attribute]
pub fn pipeline(options: TokenStream, item: TokenStream) -> TokenStream {
    compile::pipeline(options.into(), &item.into(), Root::Flow).into()
}

#[doc(hidden)]
#[proc_macro_attribute]
pub fn pipeline_through_facade(options: TokenStream, item: TokenStream) -> TokenStream {
    compile::pipeline(options.into(), &item.into(), Root::Facade).into()
}

/// Documented where `forktex_flow` re-exports it.
#[proc_macro_attribute]
pub fn graph(options: TokenStream, item: TokenStream) -> TokenStream {
    compile::graph(options.into(), &item.into(), Root::Flow).into()
}

#[doc(hidden)]
#[proc_macro_attribute]
pub fn graph_through_facade(options: TokenStream, item: TokenStream) -> TokenStream {
    compile::graph(options.into(), &item.into(), Root::Facade).into()
}

/// Documented where `forktex_flow` re-exports it.
#[proc_macro_attribute]
pub fn scheduled(options: TokenStream, item: TokenStream) -> TokenStream {
    compile::scheduled(options.into(), &item.into(), Root::Flow).into()
}

#[doc(hidden)]
#[proc_macro_attribute]
pub fn scheduled_through_facade(options: TokenStream, item: TokenStream) -> TokenStream {
    compile::scheduled(options.into(), &item.into(), Root::Facade).into()
}

/// Documented where `forktex_flow` re-exports it.
#[proc_macro_attribute]
pub fn step_template(options: TokenStream, item: TokenStream) -> TokenStream {
    compile::step_template(options.into(), &item.into(), Root::Flow).into()
}

#[doc(hidden)]
#[proc_macro_attribute]
pub fn step_template_through_facade(options: TokenStream, item: TokenStream) -> TokenStream {
    compile::step_template(options.into(), &item.into(), Root::Facade).into()
}

/// Documented where `forktex_flow` re-exports it.
#[proc_macro_derive(Route, attributes(route))]
pub fn derive_route(input: TokenStream) -> TokenStream {
    compile::route(input.into(), Root::Flow).into()
}

#[doc(hidden)]
#[proc_macro_derive(RouteThroughFacade, attributes(route))]
pub fn derive_route_through_facade(input: TokenStream) -> TokenStream {
    compile::route(input.into(), Root::Facade).into()
}

/// Documented where `forktex_flow` re-exports it.
#[proc_macro_derive(Signal, attributes(signal))]
pub fn derive_signal(input: TokenStream) -> TokenStream {
    compile::signal(input.into(), Root::Flow).into()
}

#[doc(hidden)]
#[proc_macro_derive(SignalThroughFacade, attributes(signal))]
pub fn derive_signal_through_facade(input: TokenStream) -> TokenStream {
    compile::signal(input.into(), Root::Facade).into()
}

/// Documented where `forktex_db` re-exports it.
#[proc_macro_derive(Model, attributes(model))]
pub fn derive_model(input: TokenStream) -> TokenStream {
    compile::model(input.into(), Root::Db).into()
}

#[doc(hidden)]
#[proc_macro_derive(ModelThroughFacade, attributes(model))]
pub fn derive_model_through_facade(input: TokenStream) -> TokenStream {
    compile::model(input.into(), Root::DbThroughFacade).into()
}

/// Documented where `forktex_cache` re-exports it.
#[proc_macro_attribute]
pub fn cached(options: TokenStream, item: TokenStream) -> TokenStream {
    compile::cached(options.into(), &item.into(), Root::Cache).into()
}

#[doc(hidden)]
#[proc_macro_attribute]
pub fn cached_through_facade(options: TokenStream, item: TokenStream) -> TokenStream {
    compile::cached(options.into(), &item.into(), Root::CacheThroughFacade).into()
}

/// Documented where `forktex_queue` re-exports it.
#[proc_macro_derive(Job, attributes(job))]
pub fn derive_job(input: TokenStream) -> TokenStream {
    compile::job(input.into(), Root::Queue).into()
}

#[doc(hidden)]
#[proc_macro_derive(JobThroughFacade, attributes(job))]
pub fn derive_job_through_facade(input: TokenStream) -> TokenStream {
    compile::job(input.into(), Root::QueueThroughFacade).into()
}

/// Documented where `forktex_queue` re-exports it.
#[proc_macro_attribute]
pub fn job_handler(options: TokenStream, item: TokenStream) -> TokenStream {
    compile::job_handler(options.into(), &item.into(), Root::Queue).into()
}

#[doc(hidden)]
#[proc_macro_attribute]
pub fn job_handler_through_facade(options: TokenStream, item: TokenStream) -> TokenStream {
    compile::job_handler(options.into(), &item.into(), Root::QueueThroughFacade).into()
}
