// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! All mistakes are reported together.

use forktex::flow::prelude::*;
use serde::{Deserialize, Serialize};

#[derive(State, Clone, Serialize, Deserialize)]
struct Order {
    paid: bool,
}

#[step]
async fn pay(_ctx: &Ctx, _state: &Order) -> StepResult<OrderUpdate> {
    Ok(Order::update().paid(true))
}

#[pipeline(name = "order up", version = 0, state = Order, steps = [pay, pay, parallel()], colour = 1)]
struct Shop;

fn main() {}
