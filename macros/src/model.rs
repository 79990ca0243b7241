// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! From syntax to checked meaning. Every problem is found, not only the first.

pub(crate) mod cached;
mod duration;
pub(crate) mod graph;
pub(crate) mod job;
pub(crate) mod job_handler;
#[allow(
    clippy::module_inception,
    reason = "the phase is called model, and so is what one of the macros derives"
)]
pub(crate) mod model;
mod name;
pub(crate) mod pipeline;
mod rename;
pub(crate) mod retry;
pub(crate) mod schedule;
pub(crate) mod scheduled;
pub(crate) mod signal;
pub(crate) mod state;
pub(crate) mod step;
pub(crate) mod template;
mod types;
