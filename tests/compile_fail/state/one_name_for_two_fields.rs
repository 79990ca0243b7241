// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! Each field has a name of its own in JSON.

// serde says it as well.
#![allow(unreachable_patterns)]

use forktex::flow::prelude::*;
use serde::{Deserialize, Serialize};

#[derive(State, Clone, Serialize, Deserialize)]
struct Order {
    #[serde(rename = "name")]
    first: String,
    name: String,
}

fn main() {}
