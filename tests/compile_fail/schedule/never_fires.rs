// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! Some date must match.

use forktex::flow::prelude::*;
use serde::{Deserialize, Serialize};

#[derive(State, Clone, Default, Serialize, Deserialize)]
struct Backup {
    files: u32,
}

#[scheduled(name = "backup", version = 1, cron = "0 0 30 2 *")]
async fn back_up(_ctx: &Ctx, _state: &Backup) -> StepResult<()> {
    Ok(())
}

fn main() {}
