// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! All mistakes are reported together, and the step can be used all the same.

use forktex::flow::prelude::*;
use serde::{Deserialize, Serialize};

#[derive(State, Clone, Serialize, Deserialize)]
struct Order {
    paid: bool,
}

#[step(max_attempts = 2000, timeout = "1w")]
fn pay(ctx: Ctx, state: &mut Order) {}

#[pipeline(name = "order", version = 1, state = Order, steps = [pay])]
struct Ordering;

fn main() {}
