// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! The same step twice writes the same field.

use forktex::flow::prelude::*;
use serde::{Deserialize, Serialize};

#[derive(State, Clone, Serialize, Deserialize)]
struct Deploy {
    server_id: Option<String>,
    size: u64,
    #[reduce(append)]
    logs: Vec<String>,
}

#[step(writes(server_id, logs))]
async fn provision(_ctx: &Ctx, _state: &Deploy) -> StepResult<ProvisionWrites> {
    Ok(ProvisionWrites::new().server_id("s-1"))
}

#[step(writes(logs, size, server_id))]
async fn resize(_ctx: &Ctx, _state: &Deploy) -> StepResult<ResizeWrites> {
    Ok(ResizeWrites::new().size(3))
}

#[pipeline(
    name = "deploy", version = 1, state = Deploy,
    steps = [parallel(resize, step(resize, name = "again"))],
)]
struct Up;

fn main() {}
