// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! A template's name is words joined by dots.

use forktex::flow::prelude::*;
use forktex::flow::state::json::JsonState;

#[step_template("no name")]
#[step]
async fn note(_ctx: &Ctx, _state: &JsonState) -> StepResult<()> {
    Ok(())
}

fn main() {}
