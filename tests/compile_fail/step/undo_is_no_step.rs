// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! What undoes a step is a step.

use forktex::flow::prelude::*;
use serde::{Deserialize, Serialize};

#[derive(State, Clone, Serialize, Deserialize)]
struct Deploy {
    is_healthy: bool,
}

struct Release;

#[step(compensate = Release)]
async fn provision(_ctx: &Ctx, _state: &Deploy) -> StepResult<()> {
    Ok(())
}

fn main() {}
