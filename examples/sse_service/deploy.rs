// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! What the service does: a deployment that a human lets go live. Nothing here knows of HTTP.

use forktex::flow::prelude::*;
use serde::{Deserialize, Serialize};

#[derive(State, Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Deploy {
    pub(crate) application: String,
    pub(crate) server_id: Option<String>,
    pub(crate) approved_by: Option<String>,
}

/// A human lets the deployment go live.
#[derive(Signal, Debug, Serialize, Deserialize)]
#[signal("deploy.approved")]
pub(crate) struct Approved {
    pub(crate) by: String,
}

/// Tells how far it has come while it works.
#[step]
async fn provision(ctx: &Ctx, state: &Deploy) -> StepResult<DeployUpdate> {
    for percent in [25, 50, 75] {
        ctx.emit(&json!({ "percent": percent })).await?;
    }
    Ok(Deploy::update().server_id(format!("server-of-{}", state.application)))
}

#[step]
async fn approval(ctx: &Ctx, _state: &Deploy) -> StepResult<DeployUpdate> {
    let Approved { by } = ctx.signal().await?;
    Ok(Deploy::update().approved_by(by))
}

#[step]
async fn go_live(_ctx: &Ctx, state: &Deploy) -> StepResult<()> {
    match &state.server_id {
        Some(_) => Ok(()),
        None => Err(StepError::fatal("there is no server")),
    }
}

#[pipeline(
    name = "cloud.deploy", version = 1, state = Deploy,
    steps = [provision, approval, go_live],
)]
pub(crate) struct DeployUp;
