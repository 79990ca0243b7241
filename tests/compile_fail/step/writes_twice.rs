// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! A field is named once.

use forktex::flow::prelude::*;
use serde::{Deserialize, Serialize};

#[derive(State, Clone, Serialize, Deserialize)]
struct Deploy {
    server_id: Option<String>,
    size: u64,
    #[reduce(append)]
    logs: Vec<String>,
}

#[step(writes(server_id, server_id))]
async fn provision(_ctx: &Ctx, _state: &Deploy) -> StepResult<ProvisionWrites> {
    Ok(ProvisionWrites::new().server_id("s-1"))
}

fn main() {}
