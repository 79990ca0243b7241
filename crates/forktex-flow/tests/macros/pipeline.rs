// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! `#[pipeline]`.

use forktex_flow::__private::{Reducer, Registration, inventory};
use forktex_flow::definition::Workflow;
use forktex_flow::definition::topology::{END, START};
use forktex_flow::prelude::*;
use serde::{Deserialize, Serialize};

#[derive(State, Clone, Serialize, Deserialize)]
struct Deploy {
    domain: Option<String>,
    #[reduce(append)]
    logs: Vec<String>,
}

mod steps {
    //! Steps in a module of their own.
    use super::{Ctx, Deploy, DeployUpdate, StepResult, step};

    #[step]
    pub(super) async fn configure(_ctx: &Ctx, _state: &Deploy) -> StepResult<DeployUpdate> {
        Ok(Deploy::update().logs(["configured"]))
    }
}

#[step]
async fn provision(_ctx: &Ctx, _state: &Deploy) -> StepResult<()> {
    Ok(())
}

#[step]
async fn set_up_dns(_ctx: &Ctx, state: &Deploy) -> StepResult<DeployUpdate> {
    Ok(Deploy::update().domain(state.domain.clone()))
}

#[step]
async fn verify(_ctx: &Ctx, _state: &Deploy) -> StepResult<()> {
    Ok(())
}

fn has_logs(state: &Deploy) -> Result<bool, std::io::Error> {
    Ok(!state.logs.is_empty())
}

/// With everything that a pipeline may hold.
#[pipeline(
    version = 2,
    name = "deploy.up",
    steps = [
        provision,
        steps::configure,
        step(set_up_dns, when = |s| s.domain.is_some(), max_attempts = 7, backoff = "1s", timeout = "1m"),
        parallel(verify, step(verify, name = "verify_ssl", when = has_logs)),
        step(verify, name = "final.check"),
    ],
    state = Deploy,
)]
struct DeployUp;

/// Its own state.
#[pipeline(name = "account.close", version = 1, steps = [close])]
#[derive(Clone, Serialize, Deserialize)]
struct CloseAccount {
    account: String,
    #[reduce(append)]
    notes: Vec<String>,
}

#[step]
async fn close(_ctx: &Ctx, state: &CloseAccount) -> StepResult<CloseAccountUpdate> {
    Ok(CloseAccount::update().notes([format!("closed {}", state.account)]))
}

#[test]
fn the_topology_is_the_one_that_was_written() {
    let declaration = DeployUp::declare();
    assert_eq!(
        (declaration.name(), declaration.version()),
        ("deploy.up", 2)
    );
    assert_eq!((DeployUp::NAME, DeployUp::VERSION), ("deploy.up", 2));
    let expected = [
        "node provision".to_owned(),
        "node configure".to_owned(),
        "node set_up_dns when".to_owned(),
        "node verify".to_owned(),
        "node verify_ssl when".to_owned(),
        "node final.check".to_owned(),
        format!("edge {START} -> provision"),
        "edge provision -> configure".to_owned(),
        "edge configure -> set_up_dns".to_owned(),
        "edge set_up_dns -> verify & verify_ssl".to_owned(),
        "edge verify & verify_ssl -> final.check".to_owned(),
        format!("edge final.check -> {END}"),
    ];
    assert_eq!(
        declaration.topology().lines(),
        expected.into_iter().collect()
    );
}

#[test]
fn a_struct_with_fields_is_its_own_state() {
    fn state_of<W: Workflow>() -> &'static str {
        W::State::SCHEMA.name
    }
    assert_eq!(state_of::<CloseAccount>(), "CloseAccount");
    assert_eq!(CloseAccount::SCHEMA.fields[1].reducer, Reducer::Append);
    let state = CloseAccount::from_input(json!({"account": "a-1"})).unwrap();
    assert!(state.notes.is_empty());
    assert_eq!(CloseAccount::declare().topology().nodes[0].name, "close");
}

#[test]
fn linked_pipelines_are_registered() {
    let registered: Vec<String> = inventory::iter::<Registration>
        .into_iter()
        .map(|registration| format!("{registration:?}"))
        .filter(|text| text.contains("macros::pipeline"))
        .collect();
    assert_eq!(registered.len(), 2, "{registered:?}");
}
