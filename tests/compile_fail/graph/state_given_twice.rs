// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! A struct with fields is itself the state.

use forktex::flow::prelude::*;
use serde::{Deserialize, Serialize};

#[derive(State, Clone, Serialize, Deserialize)]
struct Deploy {
    is_healthy: bool,
}

#[step]
async fn configure(_ctx: &Ctx, _state: &Deploy) -> StepResult<DeployUpdate> {
    Ok(Deploy::update())
}

#[graph(
    name = "deploy", version = 1, state = Deploy,
    topology = [edge(START, configure), edge(configure, END)],
)]
#[derive(Clone, Serialize, Deserialize)]
struct Up {
    total: u64,
}

fn main() {}
