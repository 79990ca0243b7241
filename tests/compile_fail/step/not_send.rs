// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! The body of a step may move between threads.

use forktex::flow::prelude::*;
use serde::{Deserialize, Serialize};

#[derive(State, Clone, Serialize, Deserialize)]
struct Order {
    paid: bool,
}

#[step]
async fn pay(ctx: &Ctx, _state: &Order) -> StepResult<()> {
    let local = std::rc::Rc::new(1);
    ctx.cancelled().await;
    drop(local);
    Ok(())
}

fn main() {}
