// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! An option is given once.

use forktex::flow::prelude::*;
use serde::{Deserialize, Serialize};

#[derive(State, Clone, Serialize, Deserialize)]
struct Order {
    paid: bool,
}

#[step(timeout = "1m", timeout = "2m")]
async fn pay(_ctx: &Ctx, _state: &Order) -> StepResult<()> {
    Ok(())
}

fn main() {}
