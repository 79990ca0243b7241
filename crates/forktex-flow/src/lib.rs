// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! Durable workflows on Postgres.

extern crate self as forktex_flow;

#[doc(hidden)]
pub mod __private;

pub mod compile;
pub mod ctx;
pub mod definition;
pub mod error;
pub mod identifier;
pub mod instance;
pub mod registry;
pub mod state;
pub mod step;

/// What a service author imports.
pub mod prelude {
    pub use crate::ctx::Ctx;
    pub use crate::error::{StepError, StepResult};
    pub use crate::step::Resource;
}
