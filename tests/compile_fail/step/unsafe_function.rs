// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! A step is a plain function.

use forktex::flow::prelude::*;
use serde::{Deserialize, Serialize};

#[derive(State, Clone, Serialize, Deserialize)]
struct Order {
    paid: bool,
}

#[step]
async unsafe fn pay(_ctx: &Ctx, _state: &Order) -> StepResult<()> {
    Ok(())
}

fn main() {}
