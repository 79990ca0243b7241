// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! A build whose state has another shape than was deployed under the same version.

use forktex::flow::definition::binding::Node;
use forktex::flow::definition::pipeline::Pipeline;
use forktex::flow::definition::{Declaration, Workflow};
use forktex::flow::prelude::*;
use serde::{Deserialize, Serialize};

use crate::tale::Cast;
use crate::world::{World, ended, until};

#[derive(State, Clone, Debug, Serialize, Deserialize)]
struct Parcel {
    address: String,
    weight: u32,
    #[reduce(append)]
    stops: Vec<String>,
}

/// The same workflow of a later build.
#[derive(State, Clone, Debug, Serialize, Deserialize)]
struct HeavyParcel {
    address: String,
    weight: u64,
    customs: String,
    #[reduce(union)]
    stops: Vec<String>,
}

#[step]
async fn send(_ctx: &Ctx, _state: &Parcel) -> StepResult<ParcelUpdate> {
    Ok(Parcel::update().stops(["sent"]))
}

#[step]
async fn send_heavy(_ctx: &Ctx, _state: &HeavyParcel) -> StepResult<HeavyParcelUpdate> {
    Ok(HeavyParcel::update().stops(["sent"]))
}

struct Sending;
struct ChangedSending;

impl Workflow for Sending {
    type State = Parcel;
    const NAME: &'static str = "drift.sending";
    const VERSION: u32 = 1;

    fn declare() -> Declaration {
        let only = Node::of::<send>().named("only");
        Pipeline::new(Self::NAME, Self::VERSION).step(only).build()
    }
}

impl Workflow for ChangedSending {
    type State = HeavyParcel;
    const NAME: &'static str = "drift.sending";
    const VERSION: u32 = 1;

    fn declare() -> Declaration {
        let only = Node::of::<send_heavy>().named("only");
        Pipeline::new(Self::NAME, Self::VERSION).step(only).build()
    }
}

#[tokio::test]
async fn another_shape_of_the_state_is_told_with_the_difference_and_its_runs_are_left_to_others() {
    let world = World::create().await;
    let builder = |worker| world.builder(worker, Cast::default());
    let old = builder("old").register::<Sending>().build().await.unwrap();
    assert_eq!(
        old.state_drift().await.unwrap(),
        [],
        "it is what is deployed"
    );
    let new = builder("new").register::<ChangedSending>();
    let new = new.build().await.unwrap();
    let drift = new.state_drift().await.unwrap();
    assert_eq!(drift.len(), 1, "{drift:?}");
    assert_eq!(
        (drift[0].workflow.as_str(), drift[0].version),
        ("drift.sending", 1)
    );
    for line in [
        "-field weight: u32 set",
        "+field weight: u64 set",
        "+field customs: String set",
        "-field stops: Vec<String> append",
        "+field stops: Vec<String> union",
    ] {
        assert!(
            drift[0].difference.contains(line),
            "{line} in {}",
            drift[0].difference
        );
    }
    assert!(!drift[0].difference.contains("address"));

    // A shape that was not kept, by an older release, is kept by the next that has the same.
    let forget = "UPDATE forktex_flow.definition SET state_shape = NULL WHERE workflow_name = $1";
    let forget = forktex::db::sqlx::query(forget).bind("drift.sending");
    forget.execute(&world.pool).await.unwrap();
    let changed = builder("changed").register::<ChangedSending>();
    let changed = changed.build().await.unwrap();
    assert_eq!(changed.state_drift().await.unwrap(), [], "nobody knows");
    let same = builder("same").register::<Sending>().build().await.unwrap();
    assert_eq!(same.state_drift().await.unwrap(), []);
    assert_eq!(changed.state_drift().await.unwrap(), drift);

    // The changed one takes the run, cannot read it, and leaves it to one that can.
    new.start_driver().await.unwrap();
    let parcel = Parcel {
        address: "here".to_owned(),
        weight: 7,
        stops: Vec::new(),
    };
    let run = old.start(Sending, parcel).await.unwrap();
    let unread = "SELECT count(*) FROM forktex_flow.active WHERE waits_on = 'reader'";
    until("it was handed back", async || {
        world.number(unread).await == 1
    })
    .await;
    old.start_driver().await.unwrap();
    let due = "UPDATE forktex_flow.active SET wake_at = now() WHERE wake_at IS NOT NULL RETURNING 1::bigint";
    until("the old one takes it", async || {
        let again = forktex::db::sqlx::query(due).fetch_all(&world.pool).await;
        again.unwrap();
        run.refresh().await.unwrap().status == InstanceStatus::Completed
    })
    .await;
    assert_eq!(ended(&run).await.state.stops, ["sent"]);
    new.close().await.unwrap();
    old.close().await.unwrap();
}
