// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! What undoes a step is a step on its state.

use forktex::flow::prelude::*;
use serde::{Deserialize, Serialize};

#[derive(State, Clone, Serialize, Deserialize)]
struct Deploy {
    is_healthy: bool,
}

#[derive(State, Clone, Serialize, Deserialize)]
struct Order {
    paid: bool,
}

#[step]
async fn release(_ctx: &Ctx, _state: &Order) -> StepResult<()> {
    Ok(())
}

#[step(compensate = release)]
async fn provision(_ctx: &Ctx, _state: &Deploy) -> StepResult<()> {
    Ok(())
}

fn main() {}
