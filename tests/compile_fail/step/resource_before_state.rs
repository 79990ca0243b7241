// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! The state comes before the resources.

use forktex::flow::prelude::*;
use serde::{Deserialize, Serialize};

#[derive(State, Clone, Serialize, Deserialize)]
struct Order {
    paid: bool,
}

struct Bank;

#[step]
async fn pay(ctx: &Ctx, bank: Resource<Bank>) -> StepResult<()> {
    Ok(())
}

fn main() {}
