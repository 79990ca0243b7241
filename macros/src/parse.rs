// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! From tokens to syntax, spans kept. What is written wrongly is reported and left out.

pub(crate) mod options;
pub(crate) mod pipeline;
pub(crate) mod retry;
pub(crate) mod serde;
pub(crate) mod state;
pub(crate) mod step;
