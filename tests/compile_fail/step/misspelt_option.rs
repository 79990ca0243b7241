// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! The nearest option is named.

use forktex::flow::prelude::*;
use serde::{Deserialize, Serialize};

#[derive(State, Clone, Serialize, Deserialize)]
struct Order {
    paid: bool,
}

#[step(max_atempts = 5)]
async fn pay(_ctx: &Ctx, _state: &Order) -> StepResult<()> {
    Ok(())
}

fn main() {}
