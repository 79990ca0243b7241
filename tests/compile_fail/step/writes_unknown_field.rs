// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! A field that is written exists.

use forktex::flow::prelude::*;
use serde::{Deserialize, Serialize};

#[derive(State, Clone, Serialize, Deserialize)]
struct Deploy {
    server_id: Option<String>,
    size: u64,
    #[reduce(append)]
    logs: Vec<String>,
}

#[step(writes(server_di, logs))]
async fn provision(_ctx: &Ctx, _state: &Deploy) -> StepResult<ProvisionWrites> {
    Ok(ProvisionWrites::new().logs(["done"]))
}

fn main() {}
