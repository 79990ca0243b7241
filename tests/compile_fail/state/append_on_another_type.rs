// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! `append` is for lists.

use forktex::flow::prelude::*;
use serde::{Deserialize, Serialize};

#[derive(State, Clone, Serialize, Deserialize)]
struct Order {
    #[reduce(append)]
    field: String,
}

fn main() {}
