// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! The state is a state.

use forktex::flow::prelude::*;
use serde::{Deserialize, Serialize};

#[derive(State, Clone, Serialize, Deserialize)]
struct Order {
    paid: bool,
}

struct Plain;

#[step]
async fn pay(_ctx: &Ctx, _state: &Plain) -> StepResult<()> {
    Ok(())
}

fn main() {}
