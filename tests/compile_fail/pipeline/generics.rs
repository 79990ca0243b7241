// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! A pipeline is one type.

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

#[pipeline(name = "order", version = 1, state = Order, steps = [pay])]
struct Shop<const N: usize>;

fn main() {}
