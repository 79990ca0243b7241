// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! What the platform offers its tenants: steps on JSON, to be put together as they like.

use forktex::flow::prelude::*;
use forktex::flow::state::json::{JsonState, JsonUpdate};

/// Looks whether a link carries traffic. Here a link whose name ends in `down` does not.
#[step_template("network.probe")]
#[step]
async fn probe(_ctx: &Ctx, state: &JsonState) -> StepResult<JsonUpdate> {
    let link: String = state.get("link")?.unwrap_or_default();
    let is_up = !link.ends_with("down");
    Ok(JsonState::update().set("ok", is_up).set(
        "log",
        [format!("{link} is {}", if is_up { "up" } else { "down" })],
    ))
}

/// Sends the traffic another way.
#[step_template("network.reroute_traffic")]
#[step(max_attempts = 5, backoff = ["1s", "10s"])]
async fn reroute(ctx: &Ctx, state: &JsonState) -> StepResult<JsonUpdate> {
    let link: String = state.get("link")?.unwrap_or_default();
    // A real service hands the key to its router, so that a repeated step changes nothing.
    let _key = ctx.idempotency_key();
    Ok(JsonState::update().set("log", [format!("traffic of {link} goes another way")]))
}

/// Tells the people on call.
#[step_template("network.send_alert")]
#[step]
async fn send_alert(ctx: &Ctx, _state: &JsonState) -> StepResult<JsonUpdate> {
    Ok(JsonState::update().set("log", [format!("{} is told", ctx.namespace())]))
}
