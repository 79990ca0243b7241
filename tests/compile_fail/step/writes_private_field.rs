// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! A field that cannot be seen cannot be declared.

use forktex::flow::prelude::*;
use serde::{Deserialize, Serialize};

#[derive(State, Clone, Serialize, Deserialize)]
struct Deploy {
    server_id: Option<String>,
    size: u64,
    #[reduce(append)]
    logs: Vec<String>,
}

mod invoice {
    use super::{Deserialize, Serialize, State};

    #[derive(State, Clone, Serialize, Deserialize)]
    pub struct Invoice {
        paid: bool,
    }
}

#[step(writes(paid))]
async fn pay(_ctx: &Ctx, _state: &invoice::Invoice) -> StepResult<PayWrites> {
    Ok(PayWrites::new())
}

fn main() {}
