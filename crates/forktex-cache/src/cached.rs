// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! What a call of a `#[cached]` function does.
//!
//! In order: the local tier, the store, and where neither has a fresh value, a load that at most one
//! call in this process runs, under a lease that at most one process holds. It decides nothing about
//! keys and types, which the expansion gives it, and nothing about Redis, which the store knows.

mod call;
mod early;
mod flight;
mod kind;
mod lead;
mod lease;
mod load_bound;
mod loader;
mod nesting;
mod policy;
mod site;
mod waits;

pub use call::call;
pub(crate) use flight::Flights;
pub use kind::{
    FallibleKind, FallibleOptionalKind, OptionalKind, PlainKind, Probe, may_be_absent, may_fail,
    refusal,
};
pub(crate) use load_bound::LoadBound;
pub use loader::{Behind, InLine, keep};
pub use policy::{Policy, SingleFlight};
