// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! Through `renamed_flow`, with `crate =`.

use renamed_flow::prelude::*;
use serde::{Deserialize, Serialize};

#[derive(State, Clone, Debug, Serialize, Deserialize)]
#[state(crate = ::renamed_flow)]
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

#[step(max_attempts = 2, backoff = ["1s", "5s"], timeout = "1m", crate = ::renamed_flow)]
async fn weigh(_ctx: &Ctx, state: &Parcel, scale: Resource<Scale>) -> StepResult<ParcelUpdate> {
    let weight = state.weight + scale.weigh();
    Ok(Parcel::update()
        .weight(weight)
        .heaviest(weight)
        .events(["weighed"]))
}

#[node(writes(label), crate = ::renamed_flow)]
async fn label(_ctx: &Ctx, _state: Parcel) -> StepResult<LabelWrites> {
    Ok(LabelWrites::new().label("fragile"))
}

#[derive(State, Clone, Default, Serialize, Deserialize)]
#[state(crate = ::renamed_flow)]
pub(crate) struct Sweep {
    swept: u64,
}

#[scheduled(
    name = "renamed.sweep", version = 1, cron = "@daily", timezone = "Asia/Tokyo", max_attempts = 2,
    crate = ::renamed_flow,
)]
pub(crate) async fn sweep_shelves(_ctx: &Ctx, state: &Sweep) -> StepResult<SweepUpdate> {
    Ok(Sweep::update().swept(state.swept + 1))
}

#[pipeline(
    name = "renamed.ship", version = 1, state = Parcel,
    steps = [
        weigh,
        parallel(label, step(weigh, name = "weigh_again", when = |s| s.weight > 1, timeout = "2m")),
    ], crate = ::renamed_flow
)]
pub(crate) struct Ship;

#[pipeline(name = "renamed.self", version = 1, steps = [count], crate = ::renamed_flow)]
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct SelfState {
    #[reduce(add)]
    total: u32,
}

#[step(crate = ::renamed_flow)]
async fn count(_ctx: &Ctx, state: &SelfState) -> StepResult<SelfStateUpdate> {
    Ok(SelfState::update().total(state.total))
}

#[derive(renamed_flow::Signal, Serialize, Deserialize)]
#[signal("parcel.collected", crate = ::renamed_flow)]
struct Collected {
    by: String,
}

impl From<Collected> for ParcelUpdate {
    fn from(signal: Collected) -> Self {
        Parcel::update().events([signal.by])
    }
}

#[graph(
    name = "renamed.collect", version = 1, state = Parcel,
    nodes = { weigh, label, returned: label },
    entry = weigh, terminal = [label, returned],
    topology = [
        wait_edge(weigh, label, on = Collected),
        wait_edge(weigh, returned, after = "30d"),
    ],
    crate = ::renamed_flow,
)]
pub(crate) struct Collect;

#[derive(renamed_flow::Route)]
#[route(crate = ::renamed_flow)]
enum Weight {
    Light,
    Heavy,
}

fn weight(parcel: &Parcel) -> Weight {
    if parcel.weight > 1 {
        Weight::Heavy
    } else {
        Weight::Light
    }
}

#[graph(
    name = "renamed.weigh", version = 1, state = Parcel,
    topology = [
        edge(START, weigh),
        conditional(weigh, weight, { Weight::Heavy => label, Weight::Light => END }),
        edge(label, END),
    ],
    crate = ::renamed_flow,
)]
pub(crate) struct Weigh;

#[graph(
    name = "renamed.own", version = 1, entry = tally, terminal = tally_again,
    nodes = { tally, tally_again: tally },
    topology = [wait_edge(tally, tally_again, after = "1s")],
    crate = ::renamed_flow,
)]
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct OwnState {
    #[reduce(add)]
    total: u32,
}

#[step(crate = ::renamed_flow)]
async fn tally(_ctx: &Ctx, state: &OwnState) -> StepResult<OwnStateUpdate> {
    Ok(OwnState::update().total(state.total))
}
