// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! The options of a template are few.

use forktex::flow::prelude::*;
use forktex::flow::state::json::JsonState;

#[step_template("area.note", retries = 3)]
#[step]
async fn note(_ctx: &Ctx, _state: &JsonState) -> StepResult<()> {
    Ok(())
}

fn main() {}
