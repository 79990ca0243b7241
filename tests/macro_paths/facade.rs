// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! Through `forktex`.

use forktex::flow::prelude::*;
use serde::{Deserialize, Serialize};

#[derive(State, Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Parcel {
    pub(crate) weight: u64,
    pub(crate) label: Option<String>,
    #[reduce(append)]
    pub(crate) events: Vec<String>,
    #[reduce(with = heavier)]
    pub(crate) heaviest: u64,
}

fn heavier(existing: u64, new: u64) -> u64 {
    existing.max(new)
}

pub(crate) struct Scale {
    reading: u64,
}

impl Scale {
    fn weigh(&self) -> u64 {
        self.reading
    }
}

#[step(max_attempts = 2, backoff = ["1s", "5s"], timeout = "1m")]
async fn weigh(_ctx: &Ctx, state: &Parcel, scale: Resource<Scale>) -> StepResult<ParcelUpdate> {
    let weight = state.weight + scale.weigh();
    Ok(Parcel::update()
        .weight(weight)
        .heaviest(weight)
        .events(["weighed"]))
}

#[node(writes(label))]
async fn label(_ctx: &Ctx, _state: Parcel) -> StepResult<LabelWrites> {
    Ok(LabelWrites::new().label("fragile"))
}

#[pipeline(
    name = "facade.ship", version = 1, state = Parcel,
    steps = [
        weigh,
        parallel(label, step(weigh, name = "weigh_again", when = |s| s.weight > 1, timeout = "2m")),
    ]
)]
pub(crate) struct Ship;

#[pipeline(name = "facade.self", version = 1, steps = [count])]
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct SelfState {
    #[reduce(add)]
    total: u32,
}

#[derive(Signal, Serialize, Deserialize)]
#[signal("parcel.collected")]
struct Collected {
    by: String,
}

impl From<Collected> for ParcelUpdate {
    fn from(signal: Collected) -> Self {
        Parcel::update().events([signal.by])
    }
}

#[graph(
    name = "facade.collect", version = 1, state = Parcel,
    nodes = { weigh, label, returned: label },
    entry = weigh, terminal = [label, returned],
    topology = [
        wait_edge(weigh, label, on = Collected),
        wait_edge(weigh, returned, after = "30d"),
    ],
)]
pub(crate) struct Collect;

#[step]
async fn count(_ctx: &Ctx, state: &SelfState) -> StepResult<SelfStateUpdate> {
    Ok(SelfState::update().total(state.total))
}

#[graph(
    name = "facade.own", version = 1, entry = tally, terminal = tally_again,
    nodes = { tally, tally_again: tally },
    topology = [wait_edge(tally, tally_again, after = "1s")],
)]
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct OwnState {
    #[reduce(add)]
    total: u32,
}

#[step]
async fn tally(_ctx: &Ctx, state: &OwnState) -> StepResult<OwnStateUpdate> {
    Ok(OwnState::update().total(state.total))
}
