// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! A template is a step.

use forktex::flow::prelude::*;
use forktex::flow::state::json::JsonState;

#[step_template("area.note")]
async fn note(_ctx: &Ctx, _state: &JsonState) -> StepResult<()> {
    Ok(())
}

fn main() {}
