// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! The function makes the state.

use forktex::flow::prelude::*;
use serde::{Deserialize, Serialize};

#[derive(State, Clone, Default, Serialize, Deserialize)]
struct Backup {
    files: u32,
}

fn files() -> u32 {
    7
}

#[scheduled(name = "backup", version = 1, cron = "0 2 * * *", input = files)]
async fn back_up(_ctx: &Ctx, _state: &Backup) -> StepResult<()> {
    Ok(())
}

fn main() {}
