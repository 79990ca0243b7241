// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! A step is undone by another.

use forktex::flow::prelude::*;
use serde::{Deserialize, Serialize};

#[derive(State, Clone, Serialize, Deserialize)]
struct Deploy {
    is_healthy: bool,
}

#[step(compensate = provision)]
async fn provision(_ctx: &Ctx, _state: &Deploy) -> StepResult<()> {
    Ok(())
}

fn main() {}
