// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! What many runs on one worker do to each other: c18, c64, and the half of c65 about what was held.

use forktex::flow::WaitingOn;
use forktex::flow::definition::binding::Node;
use forktex::flow::definition::pipeline::Pipeline;
use forktex::flow::definition::{Declaration, Workflow};
use forktex::flow::error::failure::{RunFailure, StepFailureKind};
use forktex::flow::prelude::*;

use crate::child::{self, Conduct};
use crate::stage::{Stage, on_both_stores};
use crate::tale::{Cast, Pair, Solo, Tale, act, line, tale};
use crate::world::{World, ended, until};

/// A workflow that only a worker has which it is given to.
struct Rare;

impl Workflow for Rare {
    type State = Tale;
    const NAME: &'static str = "worker.rare";
    const VERSION: u32 = 1;

    fn declare() -> Declaration {
        let only = Node::of::<act>().named("only");
        Pipeline::new(Self::NAME, Self::VERSION).step(only).build()
    }
}

async fn c18_a_run_that_no_live_worker_can_take_waits_visibly_and_is_taken_when_one_comes(
    world: &impl Stage,
) {
    let other = world.flow(Cast::default()).await;
    other.start_driver().await.unwrap();
    let builder = world.builder("able", Cast::default()).register::<Rare>();
    let able = builder.build().await;
    let run = able.start(Rare, tale("c18")).await.unwrap();
    // The worker that is there goes on with what it can.
    let own = other.start(Solo, tale("own")).await.unwrap();
    ended(&own).await;
    let waiting = run.refresh().await.unwrap();
    assert_eq!(waiting.status, InstanceStatus::Pending);
    assert_eq!(waiting.waiting_on, Some(WaitingOn::CompatibleWorker));
    able.start_driver().await.unwrap();
    assert_eq!(ended(&run).await.status, InstanceStatus::Completed);
    able.close().await.unwrap();
    other.close().await.unwrap();
}

async fn c64_what_cannot_be_stored_fails_its_own_step_and_none_of_its_batch(world: &impl Stage) {
    let cast = Cast::default().on("only", |ctx, tale| async move {
        match tale.title.as_str() {
            "nul" => Ok(Tale::update().lines(["a\0b"])),
            "error" => Err(StepError::fatal("an error with a \0 in it")),
            "call" => {
                let block = async { Ok::<_, StepError>(f64::NAN) };
                ctx.once("not finite", block).await?;
                line(&ctx)
            }
            _ => line(&ctx),
        }
    });
    let flow = world.flow(cast).await;
    let titles = ["nul", "error", "call"];
    let mut runs = Vec::new();
    for number in 0..60 {
        let title = titles.get(number / 20).filter(|_| number % 20 == 7);
        let title = title.map_or("sound", |title| *title);
        runs.push((title, flow.start(Solo, tale(title)).await.unwrap()));
    }
    // All at once, so that they share their commits.
    flow.start_driver().await.unwrap();
    for (title, run) in &runs {
        let done = ended(run).await;
        if *title == "sound" {
            assert_eq!(done.status, InstanceStatus::Completed, "{:?}", done.failure);
            continue;
        }
        assert_eq!(done.status, InstanceStatus::Failed, "{title}");
        let Some(RunFailure::StepFailed { failure, .. }) = done.failure else {
            panic!("{title}: {:?}", done.failure);
        };
        let expected = if *title == "nul" {
            StepFailureKind::Payload
        } else {
            StepFailureKind::Fatal
        };
        assert_eq!(failure.kind, expected, "{title}: {failure}");
    }
    flow.close().await.unwrap();
}

#[tokio::test]
async fn c65_three_kills_of_a_worker_that_holds_many_runs_fail_none_of_them() {
    let world = World::create().await;
    let flow = world.flow(Cast::default()).await;
    let mut runs = Vec::new();
    for number in 0..1_000 {
        runs.push(flow.start(Pair, tale(&number.to_string())).await.unwrap());
    }
    let held = "SELECT count(*) FROM forktex_flow.active WHERE worker_id IS NOT NULL";
    for _ in 0..3 {
        let worker = child::spawn(&world, Conduct::HangAt("first"));
        until("it holds runs", async || world.number(held).await > 0).await;
        let noted = "SELECT count(*) FROM public.ledger";
        let before = world.number(noted).await;
        until("some bodies began", async || {
            world.number(noted).await > before
        })
        .await;
        child::kill(worker).await;
        let lost = "SELECT count(*) FROM forktex_flow.worker WHERE lease_until < now()";
        until("its lease is over", async || world.number(lost).await > 0).await;
    }
    flow.start_driver().await.unwrap();
    let finished = "SELECT count(*) FROM forktex_flow.instance WHERE status = 'completed'";
    let everything = async {
        while world.number(finished).await < 1_000 {
            tokio::time::sleep(std::time::Duration::from_millis(100)).await;
        }
    };
    let in_time = tokio::time::timeout(std::time::Duration::from_mins(2), everything).await;
    assert!(in_time.is_ok(), "{} of 1000", world.number(finished).await);
    for run in runs.iter().step_by(97) {
        let done = run.refresh().await.unwrap();
        assert_eq!(done.state.lines, ["first", "second"]);
        assert!(
            done.nodes.iter().all(|node| node.attempt == 1),
            "{:?}",
            done.nodes
        );
    }
    flow.close().await.unwrap();
}

on_both_stores! {
    c18_a_run_that_no_live_worker_can_take_waits_visibly_and_is_taken_when_one_comes,
    c64_what_cannot_be_stored_fails_its_own_step_and_none_of_its_batch,
}
