// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! `#[step(writes(..))]`.

use forktex_flow::__private::{Resources, Step};
use forktex_flow::prelude::*;
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// A field of each form of setter, one with a name of its own in JSON, one that is a keyword.
#[derive(State, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Deploy {
    is_healthy: bool,
    region: String,
    server_id: Option<String>,
    #[serde(rename = "kind")]
    r#type: Option<u32>,
    #[reduce(append)]
    logs: Vec<String>,
    #[reduce(append)]
    ports: Vec<u16>,
    #[reduce(max)]
    peak: u64,
    manifest: String,
}

#[step(max_attempts = 2, writes(server_id, logs), writes(ports, r#type))]
async fn provision(_ctx: &Ctx, state: &Deploy) -> StepResult<ProvisionWrites> {
    Ok(ProvisionWrites::new()
        .server_id("s-1")
        .r#type(7)
        .ports([80, 443])
        .logs([format!("in {}", state.region), "done".to_owned()]))
}

#[step(writes(is_healthy, region, peak))]
async fn check_health(_ctx: &Ctx, _state: Deploy) -> Result<CheckHealthWrites, std::io::Error> {
    Ok(CheckHealthWrites::new()
        .is_healthy(true)
        .region("north")
        .peak(3))
}

#[step]
async fn undeclared(_ctx: &Ctx, _state: &Deploy) -> StepResult<()> {
    Ok(())
}

mod elsewhere {
    //! The state is in another module than the step.
    use super::{Ctx, Deploy, StepResult, step};

    #[step(writes(manifest))]
    pub(super) async fn plan(_ctx: &Ctx, _state: &Deploy) -> StepResult<PlanWrites> {
        Ok(PlanWrites::new().manifest("m".to_owned()))
    }
}

#[test]
fn the_fields_are_known_of_the_step() {
    let declared: Option<&[&str]> = Some(&["server_id", "logs", "ports", "type"]);
    assert_eq!(<provision as Step<Deploy>>::WRITES, declared);
    assert_eq!(<undeclared as Step<Deploy>>::WRITES, None);
    assert_eq!(Deploy::FIELD_NAMES[2..4], ["server_id", "type"]);
    assert_eq!(Deploy::SCHEMA.fields[2].name, "serverId");
    assert_eq!(
        format!("{:?}", ProvisionWrites::new()),
        "ProvisionWrites { .. }"
    );
}

#[tokio::test]
async fn its_setters_are_those_of_the_update_reducers_included() {
    let before = Deploy {
        region: "south".to_owned(),
        logs: vec!["begun".to_owned()],
        peak: 5,
        ..Deploy::default()
    };
    let ctx = Ctx::for_test();
    let after = before
        .clone()
        .updated(provision(&ctx, &before).await.unwrap())
        .unwrap();
    assert_eq!(after.server_id.as_deref(), Some("s-1"));
    assert_eq!(after.logs, ["begun", "in south", "done"]);
    assert_eq!(
        (after.r#type, after.ports.as_slice()),
        (Some(7), &[80, 443][..])
    );
    let after = after
        .clone()
        .updated(check_health(&ctx, after).await.unwrap())
        .unwrap();
    assert_eq!(
        (after.is_healthy, after.region.as_str(), after.peak),
        (true, "north", 5)
    );
    let after = after
        .clone()
        .updated(elsewhere::plan(&ctx, &after).await.unwrap())
        .unwrap();
    assert_eq!(after.manifest, "m");
}

#[tokio::test]
async fn a_worker_is_given_the_update_of_the_state() {
    let state = Arc::new(Deploy::default());
    let call = <provision as Step<Deploy>>::call(Ctx::for_test(), state, Resources::default());
    let after = Deploy::default().updated(call.await.unwrap()).unwrap();
    assert_eq!(after.server_id.as_deref(), Some("s-1"));
}

/// Both write a field that has a reducer, and one that is called alike in the other's list no more.
#[pipeline(
    name = "writes.parallel", version = 1, state = Deploy,
    steps = [parallel(provision, check_health, undeclared, step(undeclared, name = "again"))],
)]
struct Parallel;

#[pipeline(
    name = "writes.sequence", version = 1, state = Deploy,
    steps = [provision, step(provision, name = "again")],
)]
struct Sequence;

#[test]
fn members_that_share_no_field_may_run_in_parallel() {
    use forktex_flow::definition::Workflow;
    assert_eq!(Parallel::declare().topology().nodes.len(), 4);
    assert_eq!(Sequence::declare().topology().nodes.len(), 2);
}
