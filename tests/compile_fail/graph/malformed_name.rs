// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! A name is words joined by dots.

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
    name = "cloud deploy", version = 1, state = Deploy,
    topology = [edge(START, configure), edge(configure, END)],
)]
struct Up;

fn main() {}
