// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! A step is a free function.

use forktex::flow::prelude::*;
use serde::{Deserialize, Serialize};

#[derive(State, Clone, Serialize, Deserialize)]
struct Order {
    paid: bool,
}

struct Shop;

impl Shop {
    #[step]
    async fn pay(&self, _ctx: &Ctx, _state: &Order) -> StepResult<()> {
        Ok(())
    }
}

fn main() {}
