// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! A router without targets leads nowhere.

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

#[step]
async fn rollback(_ctx: &Ctx, _state: &Deploy) -> StepResult<DeployUpdate> {
    Ok(Deploy::update())
}

#[derive(Route)]
enum Verdict {
    Failed,
    Healthy,
}

fn verdict(state: &Deploy) -> Verdict {
    if state.is_healthy { Verdict::Healthy } else { Verdict::Failed }
}

#[graph(
    name = "deploy", version = 1, state = Deploy,
    topology = [
        edge(START, configure),
        conditional(configure, verdict, {}),
    ],
)]
struct Up;

fn main() {}
