// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! The state derives `State`.

use forktex::flow::prelude::*;
use serde::{Deserialize, Serialize};

struct Deploy;

#[step]
async fn configure(_ctx: &Ctx, _state: &Order) -> StepResult<()> {
    Ok(())
}

#[derive(State, Clone, Serialize, Deserialize)]
struct Order {
    paid: bool,
}

#[graph(
    name = "deploy", version = 1, state = Deploy,
    topology = [edge(START, configure), edge(configure, END)],
)]
struct Up;

fn main() {}
