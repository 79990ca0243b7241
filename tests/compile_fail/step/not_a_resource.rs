// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! Whatever else a step takes is a resource.

use forktex::flow::prelude::*;
use serde::{Deserialize, Serialize};

#[derive(State, Clone, Serialize, Deserialize)]
struct Order {
    paid: bool,
}

struct Bank;

#[step]
async fn pay(_ctx: &Ctx, _state: &Order, bank: &Bank) -> StepResult<()> {
    Ok(())
}

fn main() {}
