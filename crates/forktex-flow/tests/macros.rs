// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! What the macros make, without a database: states, steps and declarations.
#![forbid(unsafe_code)]
#![deny(missing_docs, warnings)]
// The helpers of the tests are tests as well.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::unnecessary_wraps)]

#[path = "macros/graph.rs"]
mod graph;
#[path = "macros/pipeline.rs"]
mod pipeline;
#[path = "macros/signal.rs"]
mod signal;
#[path = "macros/state.rs"]
mod state;
#[path = "macros/step.rs"]
mod step;
#[path = "macros/writes.rs"]
mod writes;
