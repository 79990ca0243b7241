// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! Graphs: routers, and cycles with their limit.

use forktex::db::sqlx;
use forktex::flow::error::failure::RunFailure;
use forktex::flow::prelude::*;
use serde::{Deserialize, Serialize};

use crate::stage::{Stage, on_both_stores};
use crate::tale::Cast;
use crate::world::{COMPLETED, World, ended};

#[derive(State, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Agent {
    rounds: u32,
    #[reduce(append)]
    found: Vec<String>,
    answer: Option<String>,
}

#[step]
async fn think(_ctx: &Ctx, state: &Agent) -> StepResult<AgentUpdate> {
    if state.found.len() < state.rounds as usize {
        return Ok(Agent::update());
    }
    Ok(Agent::update().answer(state.found.join(" ")))
}

#[step]
async fn use_tool(ctx: &Ctx, _state: &Agent) -> StepResult<AgentUpdate> {
    Ok(Agent::update().found([format!("fact {}", ctx.visit())]))
}

#[derive(Route)]
enum Next {
    UseTool,
    Answer,
}

fn next(state: &Agent) -> Next {
    if state.answer.is_some() {
        Next::Answer
    } else {
        Next::UseTool
    }
}

#[graph(
    name = "graph.agent", version = 1, state = Agent,
    topology = [
        edge(START, think),
        conditional(think, next, { Next::UseTool => use_tool, Next::Answer => END }),
        edge(use_tool, think),
    ],
    max_visits = 6,
)]
struct AgentLoop;

#[step(max_attempts = 1)]
async fn note(_ctx: &Ctx, _state: &Agent) -> StepResult<AgentUpdate> {
    Ok(Agent::update().found(["noted"]))
}

fn refuse(state: &Agent) -> Result<Next, String> {
    assert!(state.rounds != 1, "a router that panics");
    Err("a router that errs".to_owned())
}

#[graph(
    name = "graph.refused", version = 1, state = Agent,
    nodes = { first: note },
    topology = [
        edge(START, first),
        conditional(first, refuse, { Next::UseTool => first, Next::Answer => END }),
    ],
)]
struct Refused;

#[pipeline(
    name = "graph.undecided", version = 1, state = Agent,
    steps = [note, step(note, name = "second", when = |agent| refuse(agent).map(|_| true))],
)]
struct Undecided;

#[graph(
    name = "graph.noted", version = 1, state = Agent,
    topology = [edge(START, note), edge(note, END)],
)]
struct Noted;

fn asking(rounds: u32) -> Agent {
    Agent {
        rounds,
        ..Agent::default()
    }
}

async fn c26_an_agent_loop_has_a_checkpoint_a_visit_and_ends_at_its_limit(world: &impl Stage) {
    let flow = world.flow(Cast::default()).await;
    flow.start_driver().await.unwrap();

    let run = flow.start(AgentLoop, asking(5)).await.unwrap();
    let done = ended(&run).await;
    assert_eq!(done.status, InstanceStatus::Completed);
    let facts = "fact 1 fact 2 fact 3 fact 4 fact 5";
    assert_eq!(done.state.answer.as_deref(), Some(facts));
    // Five rounds, and the one that answers.
    assert_eq!(world.count(run.id(), COMPLETED).await, 5 + 6);
    for (node, visits) in [("think", 6), ("use_tool", 5)] {
        let records: Vec<u32> = done
            .nodes
            .iter()
            .filter(|record| record.name.as_str() == node)
            .map(|record| record.visit)
            .collect();
        assert_eq!(records, (1..=visits).collect::<Vec<_>>());
    }
    let branches: Vec<&str> = done
        .nodes
        .iter()
        .filter_map(|record| record.branch.as_deref())
        .collect();
    assert_eq!(
        branches,
        [
            "UseTool", "UseTool", "UseTool", "UseTool", "UseTool", "Answer"
        ]
    );

    let endless = flow.start(AgentLoop, asking(100)).await.unwrap();
    let failed = ended(&endless).await;
    assert_eq!(failed.status, InstanceStatus::Failed);
    let Some(RunFailure::VisitLimit { node, max_visits }) = &failed.failure else {
        panic!("{:?}", failed.failure);
    };
    assert_eq!((node.as_str(), *max_visits), ("think", 6));
    assert_eq!(failed.state.found.len(), 6, "what was done is kept");

    let workflow = flow.workflow("graph.agent").unwrap();
    let alone = workflow.drawing().to_mermaid();
    assert!(alone.contains("n0 -->|UseTool| n1") && !alone.contains("class "));
    let drawn = workflow.drawing_of(&done).unwrap().to_mermaid();
    assert!(drawn.contains("n0[\"think ×6\"]") && drawn.contains("class n0,n1 completed"));
    let other = flow.workflow("tale.pair").unwrap();
    assert!(other.drawing_of(&done).is_none());
    flow.close().await.unwrap();
}

async fn c29a_a_router_or_a_when_that_errs_or_panics_fails_the_run_and_the_worker_lives(
    world: &impl Stage,
) {
    let flow = world.flow(Cast::default()).await;
    flow.start_driver().await.unwrap();
    for (rounds, expected) in [(0, "a router that errs"), (1, "a router that panics")] {
        let run = flow.start(Refused, asking(rounds)).await.unwrap();
        let failed = ended(&run).await;
        assert_eq!(failed.status, InstanceStatus::Failed);
        let Some(RunFailure::RouterFailed { node, failure }) = &failed.failure else {
            panic!("{:?}", failed.failure);
        };
        assert_eq!((node.as_str(), &*failure.message), ("first", expected));
        // The output before it is kept, and the router was not asked again.
        assert_eq!(failed.state.found, ["noted"]);
        assert_eq!(failed.nodes.len(), 1);

        let run = flow.start(Undecided, asking(rounds)).await.unwrap();
        let failed = ended(&run).await;
        let Some(RunFailure::ConditionFailed { node, failure }) = &failed.failure else {
            panic!("{:?}", failed.failure);
        };
        assert_eq!((node.as_str(), &*failure.message), ("second", expected));
        assert_eq!(failed.state.found, ["noted"]);
    }
    let later = flow.start(AgentLoop, asking(0)).await.unwrap();
    assert_eq!(ended(&later).await.status, InstanceStatus::Completed);
    flow.close().await.unwrap();
}

/// Nothing is journalled yet when the first checkpoint is refused, and so there is nothing to go on
/// from.
#[tokio::test]
async fn a_first_checkpoint_that_the_database_refuses_fails_its_step_and_not_the_worker() {
    let world = World::create().await;
    sqlx::query("ALTER TABLE forktex_flow.journal ADD CHECK (node <> 'note' OR kind <> 1)")
        .execute(&world.pool)
        .await
        .unwrap();
    let flow = world.flow(Cast::default()).await;
    flow.start_driver().await.unwrap();
    let run = flow.start(Noted, asking(0)).await.unwrap();
    let failed = ended(&run).await;
    assert_eq!(failed.status, InstanceStatus::Failed);
    let Some(RunFailure::StepFailed { node, failure, .. }) = &failed.failure else {
        panic!("{:?}", failed.failure);
    };
    assert_eq!(node.as_str(), "note");
    assert!(failure.message.contains("refused the update"), "{failure}");
    let later = flow.start(AgentLoop, asking(0)).await.unwrap();
    assert_eq!(ended(&later).await.status, InstanceStatus::Completed);
    flow.close().await.unwrap();
}

on_both_stores! {
    c26_an_agent_loop_has_a_checkpoint_a_visit_and_ends_at_its_limit,
    c29a_a_router_or_a_when_that_errs_or_panics_fails_the_run_and_the_worker_lives,
}
