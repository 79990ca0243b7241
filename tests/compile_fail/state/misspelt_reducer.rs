// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! The nearest reducer is named, and the setter is the one that was meant.

use forktex::flow::prelude::*;
use serde::{Deserialize, Serialize};

#[derive(State, Clone, Serialize, Deserialize)]
struct Order {
    #[reduce(apend)]
    logs: Vec<String>,
}

fn update() -> OrderUpdate {
    Order::update().logs(["one"])
}

fn main() {}
