// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! The other options need an expression.

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

#[pipeline(
    name = "backup", version = 1, state = Backup, steps = [back_up],
    timezone = "Europe/Berlin", overlap = skip, catch_up = one, input = Backup::default,
)]
struct Nightly;

fn main() {}
