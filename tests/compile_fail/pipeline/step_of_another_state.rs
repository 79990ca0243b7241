// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! All steps take the state of the pipeline.

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

#[derive(State, Clone, Serialize, Deserialize)]
struct Invoice {
    sent: bool,
}

#[pipeline(name = "order", version = 1, state = Invoice, steps = [pay])]
struct Shop;

fn main() {}
