// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! From meaning to code. Nothing here can fail; the code is small and calls plain public functions.

pub(crate) mod cached;
pub(crate) mod graph;
pub(crate) mod job;
pub(crate) mod job_handler;
pub(crate) mod model;
pub(crate) mod pipeline;
mod retry;
pub(crate) mod route;
mod schedule;
pub(crate) mod scheduled;
pub(crate) mod signal;
pub(crate) mod state;
pub(crate) mod step;
pub(crate) mod template;

use syn::Attribute;

/// The `#[cfg]`s of an item, which what is made beside it must share.
pub(crate) fn cfgs(attributes: &[Attribute]) -> impl Iterator<Item = &Attribute> {
    attributes
        .iter()
        .filter(|attribute| attribute.path().is_ident("cfg"))
}
