// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! The expression of a graph is checked as well.

use forktex::flow::prelude::*;
use serde::{Deserialize, Serialize};

#[derive(State, Clone, Default, Serialize, Deserialize)]
struct Backup {
    files: u32,
}

#[step]
async fn back_up(_ctx: &Ctx, _state: &Backup) -> StepResult<()> {
    Ok(())
}

#[graph(
    name = "backup", version = 1, state = Backup, cron = "every night",
    topology = [edge(START, back_up), edge(back_up, END)],
)]
struct Nightly;

fn main() {}
