// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! A duration is a text with units.

use forktex::flow::prelude::*;
use serde::{Deserialize, Serialize};

#[derive(State, Clone, Serialize, Deserialize)]
struct Order {
    paid: bool,
}

#[step(backoff = ["10s", "1.5m"], timeout = "ten")]
async fn pay(_ctx: &Ctx, _state: &Order) -> StepResult<()> {
    Ok(())
}

fn main() {}
