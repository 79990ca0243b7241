// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! The state is a state.

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

struct Plain;

#[pipeline(name = "order", version = 1, state = Plain, steps = [pay])]
struct Shop;

fn main() {}
