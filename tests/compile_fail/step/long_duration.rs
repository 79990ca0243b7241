// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! A duration is at most 30 days.

use forktex::flow::prelude::*;
use serde::{Deserialize, Serialize};

#[derive(State, Clone, Serialize, Deserialize)]
struct Order {
    paid: bool,
}

#[step(timeout = "31d")]
async fn pay(_ctx: &Ctx, _state: &Order) -> StepResult<()> {
    Ok(())
}

fn main() {}
