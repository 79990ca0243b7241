// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! A heartbeat has a length.

use forktex::flow::prelude::*;
use serde::{Deserialize, Serialize};

#[derive(State, Clone, Serialize, Deserialize)]
struct Deploy {
    is_healthy: bool,
}

#[step(heartbeat = "0s")]
async fn provision(_ctx: &Ctx, _state: &Deploy) -> StepResult<()> {
    Ok(())
}

fn main() {}
