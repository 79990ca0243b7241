// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! A pipeline with an expression needs a state with a default.

use forktex::flow::prelude::*;
use serde::{Deserialize, Serialize};

#[derive(State, Clone, Serialize, Deserialize)]
struct Backup {
    files: u32,
}

#[step]
async fn back_up(_ctx: &Ctx, _state: &Backup) -> StepResult<()> {
    Ok(())
}

#[pipeline(name = "backup", version = 1, state = Backup, steps = [back_up], cron = "0 2 * * *")]
struct Nightly;

fn main() {}
