// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! A parameter has a plain name.

use forktex::flow::prelude::*;
use serde::{Deserialize, Serialize};

#[derive(State, Clone, Serialize, Deserialize)]
struct Order {
    paid: bool,
}

#[step]
async fn pay(_ctx: &Ctx, Order { paid }: &Order) -> StepResult<()> {
    Ok(())
}

fn main() {}
