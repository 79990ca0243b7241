// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! `#[step]` and `#[node]`.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use forktex_flow::__private::{IntoUpdate, ResourceKey, Resources, Step};
use forktex_flow::prelude::*;
use serde::{Deserialize, Serialize};

#[derive(State, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Count {
    #[reduce(add)]
    total: u64,
    #[reduce(append)]
    log: Vec<String>,
}

struct Bank {
    fee: u64,
}

trait Clock: Send + Sync {
    fn hour(&self) -> u64;
}

#[step(max_attempts = 5, backoff = ["10s", "1m", "1m30s"], timeout = "10m")]
async fn by_reference(ctx: &Ctx, state: &Count, bank: Resource<Bank>) -> StepResult<CountUpdate> {
    assert_eq!(ctx.attempt(), 1);
    Ok(Count::update().total(state.total + bank.fee))
}

#[node]
async fn by_value(_: &Ctx, mut state: Count) -> Result<CountUpdate, std::io::Error> {
    state.total += 1;
    Ok(Count::update().total(state.total))
}

#[step(backoff = "5s")]
async fn shared(
    _ctx: &Ctx,
    state: Arc<Count>,
    clock: Resource<dyn Clock>,
    _bank: Resource<Bank>,
) -> StepResult<()> {
    if clock.hour() > state.total {
        return Err(StepError::fatal("too late"));
    }
    Ok(())
}

/// Not an error by itself, but it converts.
#[derive(Debug)]
struct Refused;

impl fmt::Display for Refused {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("refused")
    }
}

impl std::error::Error for Refused {}

#[step]
async fn r#match(_: &Ctx, _: &Count) -> Result<CountUpdate, Refused> {
    Err(Refused)
}

fn call<T: Step<Count>>(total: u64) -> StepResult<CountUpdate> {
    let state = Arc::new(Count {
        total,
        log: Vec::new(),
    });
    let future = T::call(Ctx::for_test(), state, Resources::default());
    futures_util::FutureExt::now_or_never(future).expect("these steps wait for nothing")
}

#[test]
fn a_step_is_still_the_fn_that_was_written() {
    let (ctx, state) = (Ctx::for_test(), Count::default());
    let bank = Resource::new(Bank { fee: 3 });
    let update = futures_util::FutureExt::now_or_never(by_reference(&ctx, &state, bank));
    let state = state.updated(update.unwrap().unwrap()).unwrap();
    assert_eq!(state.total, 3);
}

#[test]
fn a_step_takes_the_state_by_value() {
    let update = call::<by_value>(4).unwrap();
    assert_eq!(Count::default().updated(update).unwrap().total, 5);
}

#[test]
fn an_error_of_any_type_becomes_a_step_error() {
    let error = call::<r#match>(0).unwrap_err();
    assert!(!error.is_fatal());
    assert!(error.to_string().contains("refused"), "{error}");
    assert_eq!(<r#match as Step<Count>>::NAME, "match");
}

#[test]
fn a_resource_that_is_not_there_is_named() {
    let error = call::<by_reference>(0).unwrap_err();
    assert!(error.is_fatal());
    assert!(error.to_string().contains("Bank"), "{error}");
}

#[test]
fn the_resources_are_listed_for_the_flow() {
    let keys = <shared as Step<Count>>::resources();
    let names: Vec<_> = keys.iter().map(ResourceKey::type_name).collect();
    assert_eq!(names.len(), 2);
    assert!(
        names[0].contains("dyn") && names[0].contains("Clock"),
        "{names:?}"
    );
    assert!(names[1].ends_with("Bank"), "{names:?}");
    assert!(<by_value as Step<Count>>::resources().is_empty());
}

#[test]
fn the_options_are_read_at_compile_time() {
    let policy = <by_reference as Step<Count>>::retry();
    assert_eq!(policy.max_attempts, 5);
    let seconds = |seconds| Duration::from_secs(seconds);
    assert_eq!(
        policy.backoff,
        Some(vec![seconds(10), seconds(60), seconds(90)])
    );
    assert_eq!(policy.timeout, Some(seconds(600)));
    let policy = <shared as Step<Count>>::retry();
    assert_eq!(
        (policy.max_attempts, policy.backoff),
        (3, Some(vec![seconds(5)]))
    );
}

#[test]
fn no_change_is_an_update_too() {
    let update: CountUpdate = IntoUpdate::<Count>::into_update(());
    let before = Count {
        total: 7,
        log: vec!["kept".into()],
    };
    assert_eq!(before.clone().updated(update).unwrap(), before);
}

#[step]
async fn refund(_ctx: &Ctx, _state: &Count, _bank: Resource<Bank>) -> StepResult<()> {
    Ok(())
}

#[step(compensate = refund, heartbeat = "30s")]
async fn charge(_ctx: &Ctx, _state: &Count) -> StepResult<()> {
    Ok(())
}

#[step(max_attempts = 4, heartbeat = "1m30s")]
async fn watched(_ctx: &Ctx, _state: &Count) -> StepResult<()> {
    Ok(())
}

#[test]
fn what_undoes_a_step_and_how_often_it_beats_are_read_too() {
    assert!(<charge as Step<Count>>::compensation().is_some());
    assert!(<refund as Step<Count>>::compensation().is_none());
    let policy = <charge as Step<Count>>::retry();
    assert_eq!(policy.heartbeat, Some(Duration::from_secs(30)));
    assert_eq!((policy.max_attempts, policy.timeout), (3, None));
    let policy = <watched as Step<Count>>::retry();
    assert_eq!(policy.heartbeat, Some(Duration::from_secs(90)));
    assert_eq!(policy.max_attempts, 4);
}

#[pipeline(
    name = "step.undone", version = 1, state = Count,
    steps = [charge, refund, step(watched, compensate = refund, heartbeat = "5s")],
)]
struct Undone;

#[test]
fn nodes_are_undone_as_those_of_the_plain_builder() {
    use forktex_flow::definition::Workflow;
    use forktex_flow::definition::binding::{Node, Undo};
    use forktex_flow::definition::pipeline::Pipeline;

    let plain = Pipeline::<Count>::new("step.undone", 1)
        .step(Node::of::<charge>())
        .step(Node::of::<refund>())
        .step(
            Node::of::<watched>()
                .compensate(Undo::of::<refund>())
                .heartbeat(Duration::from_secs(5)),
        )
        .build();
    assert_eq!(Undone::declare().topology(), plain.topology());
    let compensated = plain.topology().nodes.iter().map(|node| node.compensated);
    assert_eq!(compensated.collect::<Vec<_>>(), [true, false, true]);
}
