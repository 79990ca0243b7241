// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! A setter takes the type of its field.

use forktex::flow::prelude::*;
use serde::{Deserialize, Serialize};

#[derive(State, Clone, Serialize, Deserialize)]
struct Order {
    paid: bool,
    server: Option<u16>,
}

fn update() -> OrderUpdate {
    Order::update().paid("yes").server("one")
}

fn main() {}
