// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! A state without a default needs a function.

use forktex::flow::prelude::*;
use serde::{Deserialize, Serialize};

#[derive(State, Clone, Serialize, Deserialize)]
struct Backup {
    files: u32,
}

#[scheduled(name = "backup", version = 1, cron = "0 2 * * *")]
async fn back_up(_ctx: &Ctx, _state: &Backup) -> StepResult<()> {
    Ok(())
}

fn main() {}
