// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! A flattened field has no name of its own.

use forktex::flow::prelude::*;
use serde::{Deserialize, Serialize};

#[derive(Clone, Serialize, Deserialize)]
struct Inner {
    paid: bool,
}

#[derive(State, Clone, Serialize, Deserialize)]
struct Order {
    #[serde(flatten)]
    inner: Inner,
}

fn main() {}
