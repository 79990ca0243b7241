// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! The deployment: what is configured is either checked and kept, tuned and configured again, or rolled
//! back.

use forktex::flow::prelude::*;
use serde::{Deserialize, Serialize};

use crate::cloud::Cloud;

#[derive(State, Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Deploy {
    pub(crate) manifest: Manifest,
    pub(crate) server_id: Option<String>,
    pub(crate) health: Option<Health>,
    #[reduce(append)]
    pub(crate) logs: Vec<String>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Manifest {
    pub(crate) image: String,
    pub(crate) memory_mib: u32,
}

/// What a server says of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Health {
    Healthy,
    OutOfMemory,
    Broken,
}

/// Makes a server. The idempotency key is the same when the step runs again, so that there is one.
#[step]
async fn provision(ctx: &Ctx, _state: &Deploy, cloud: Resource<Cloud>) -> StepResult<DeployUpdate> {
    let id = cloud.create(&ctx.idempotency_key());
    Ok(Deploy::update().logs([format!("made {id}")]).server_id(id))
}

#[step]
async fn configure(_ctx: &Ctx, state: &Deploy, cloud: Resource<Cloud>) -> StepResult<DeployUpdate> {
    let Some(server) = &state.server_id else {
        return Err(StepError::fatal("there is no server"));
    };
    let health = cloud.configure(server, &state.manifest);
    Ok(Deploy::update()
        .health(health)
        .logs([format!("configured with {} MiB", state.manifest.memory_mib)]))
}

/// Gives it twice the memory.
#[step]
async fn tune(_ctx: &Ctx, state: &Deploy) -> StepResult<DeployUpdate> {
    let mut manifest = state.manifest.clone();
    manifest.memory_mib *= 2;
    Ok(Deploy::update().manifest(manifest).logs(["tuned"]))
}

#[step]
async fn health_check(_ctx: &Ctx, _state: &Deploy) -> StepResult<DeployUpdate> {
    Ok(Deploy::update().logs(["healthy"]))
}

#[step]
async fn rollback(_ctx: &Ctx, state: &Deploy, cloud: Resource<Cloud>) -> StepResult<DeployUpdate> {
    if let Some(server) = &state.server_id {
        cloud.destroy(server);
    }
    Ok(Deploy::update().server_id(None).logs(["rolled back"]))
}

#[derive(Route)]
enum Verdict {
    Healthy,
    NeedsMemory,
    Failed,
}

/// No more memory than this.
const MEMORY_MIB_MAX: u32 = 1024;

/// A verdict that misses in the topology below is an error of the compiler; one that cannot be given is
/// an error of the run.
fn verdict(state: &Deploy) -> Result<Verdict, String> {
    match state.health {
        Some(Health::Healthy) => Ok(Verdict::Healthy),
        Some(Health::OutOfMemory) if state.manifest.memory_mib < MEMORY_MIB_MAX => {
            Ok(Verdict::NeedsMemory)
        }
        Some(Health::OutOfMemory | Health::Broken) => Ok(Verdict::Failed),
        None => Err("nothing is known of the server".to_owned()),
    }
}

#[graph(
    name = "cloud.deploy.advanced", version = 1, state = Deploy,
    entry = provision, terminal = [check, rollback],
    nodes = {
        provision,
        configure: step(configure, max_attempts = 5, backoff = ["1s", "10s"], timeout = "10m"),
        tune,
        check: health_check,
        rollback,
    },
    topology = [
        edge(provision, configure),
        conditional(configure, verdict, {
            Verdict::Healthy => check,
            Verdict::NeedsMemory => tune,
            Verdict::Failed => rollback,
        }),
        edge(tune, configure),
    ],
    max_visits = 10,
)]
pub(crate) struct DeployAdvanced;
