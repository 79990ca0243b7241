// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! A step returns what changes.

use forktex::flow::prelude::*;
use serde::{Deserialize, Serialize};

#[derive(State, Clone, Serialize, Deserialize)]
struct Order {
    paid: bool,
}

#[step]
async fn pay(_ctx: &Ctx, state: &mut Order) -> StepResult<()> {
    state.paid = true;
    Ok(())
}

fn main() {}
