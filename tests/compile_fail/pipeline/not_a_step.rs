// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! A plain function is no step.

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

async fn plain(_ctx: &Ctx, _state: &Order) -> StepResult<()> {
    Ok(())
}

#[pipeline(name = "order", version = 1, state = Order, steps = [pay, plain])]
struct Shop;

fn main() {}
