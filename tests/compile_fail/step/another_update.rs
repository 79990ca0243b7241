// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! A step returns its own state's update.

use forktex::flow::prelude::*;
use serde::{Deserialize, Serialize};

#[derive(State, Clone, Serialize, Deserialize)]
struct Order {
    paid: bool,
}

#[derive(State, Clone, Serialize, Deserialize)]
struct Invoice {
    sent: bool,
}

#[step]
async fn pay(_ctx: &Ctx, _state: &Order) -> StepResult<InvoiceUpdate> {
    Ok(Invoice::update().sent(true))
}

fn main() {}
