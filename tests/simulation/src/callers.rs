// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! The callers of a world: they start runs and do to them what the plan says, through whatever process
//! lives, and note what they are told.

use std::sync::Arc;
use std::time::Duration;

use forktex_flow::error::{CancelError, ForkError, PauseError, SignalError, StartError};
use forktex_flow::{InstanceId, Run, Sent};
use serde_json::Value;
use tokio::task::JoinHandle;

use crate::cast::Letter;
use crate::history::{Answer, Request, What};
use crate::plan::{RunPlan, Ticking, Wish};
use crate::world::{Process, World};

/// How long a caller waits for an answer.
const PATIENCE: Duration = Duration::from_secs(20);

/// How often a start is tried again that nobody answered, where a key makes that safe.
const RETRIES: usize = 3;

/// Starts the callers.
pub(crate) fn spawn(
    world: &Arc<World>,
    runs: Vec<RunPlan>,
    schedule: Option<Ticking>,
    fires_at: &[Duration],
) -> Vec<JoinHandle<()>> {
    let followers = runs
        .into_iter()
        .map(|run| tokio::spawn(follow(Arc::clone(world), run)));
    let mut callers: Vec<JoinHandle<()>> = followers.collect();
    if let Some(schedule) = schedule {
        for at in fires_at {
            callers.push(tokio::spawn(fire(
                Arc::clone(world),
                schedule.workflow(),
                *at,
            )));
        }
    }
    callers
}

async fn fire(world: Arc<World>, workflow: &'static str, at: Duration) {
    tokio::time::sleep(at).await;
    ask(
        &world,
        Request::FireNow { workflow },
        async |process| match process.flow.schedule(workflow).fire_now().await {
            Ok(run) => Answer::Done(Some(run.id())),
            Err(_) => Answer::Unknown,
        },
    )
    .await;
}

async fn follow(world: Arc<World>, plan: RunPlan) {
    tokio::time::sleep(plan.at).await;
    let tries = if plan.key.is_some() { RETRIES } else { 1 };
    let mut started = None;
    for _ in 0..tries {
        let answer = start(&world, &plan).await;
        match answer {
            Answer::Done(run) => {
                started = run;
                break;
            }
            Answer::Unknown => tokio::time::sleep(Duration::from_millis(500)).await,
            _ => break,
        }
    }
    let Some(run) = started else {
        return;
    };
    let begun = world.chronicle.elapsed();
    for (at, wish) in plan.wishes {
        let wait = (begun + at).saturating_sub(world.chronicle.elapsed());
        tokio::time::sleep(wait).await;
        fulfil(&world, run, wish).await;
    }
}

async fn start(world: &World, plan: &RunPlan) -> Answer {
    let request = Request::Start {
        tag: plan.tale.tag,
        workflow: plan.workflow,
        key: plan.key.clone(),
        deadline: plan.deadline,
    };
    let state = serde_json::to_value(&plan.tale).unwrap_or_default();
    ask(world, request, async |process| {
        let mut start = process
            .flow
            .run(plan.workflow)
            .state(state)
            .priority(plan.priority);
        if let Some(key) = &plan.key {
            start = start.idempotency_key(key);
        }
        if let Some(deadline) = plan.deadline {
            start = start.deadline(deadline);
        }
        match start.await {
            Ok(run) => Answer::Done(Some(run.id())),
            Err(StartError::Conflict { .. }) => Answer::Conflict,
            Err(StartError::Database { .. } | StartError::Closed { .. }) => Answer::Unknown,
            Err(error) => Answer::Refused(error.to_string()),
        }
    })
    .await
}

/// Asks something of a process, and notes both the asking and the answer.
async fn ask(world: &World, request: Request, act: impl AsyncFnOnce(Process) -> Answer) -> Answer {
    let process = world.any_process();
    let number = process.wire.process;
    let wire = Arc::clone(&process.wire);
    let call = world.chronicle.asked(number, request);
    let answer = tokio::select! {
        answer = act(process) => answer,
        () = wire.died() => Answer::Unknown,
        () = tokio::time::sleep(PATIENCE) => Answer::Unknown,
    };
    world.chronicle.answered(number, call, answer.clone());
    answer
}

async fn fulfil(world: &World, run: InstanceId, wish: Wish) {
    let handle = |process: &Process| -> Run<Value> { process.flow.handle(run) };
    match wish {
        Wish::Look => look(world, run).await,
        Wish::Letter { number, key } => {
            let request = Request::Send {
                run,
                number,
                key: key.clone(),
            };
            ask(world, request, async |process| {
                let mut send = handle(&process).send(Letter { number });
                if let Some(key) = key {
                    send = send.idempotency_key(key);
                }
                match send.await {
                    Ok(Sent::Accepted) => Answer::Done(None),
                    Ok(_) => Answer::Known,
                    Err(SignalError::AlreadyTerminal { .. }) => Answer::Ended,
                    Err(SignalError::Conflict { .. }) => Answer::Conflict,
                    Err(SignalError::Database { .. }) => Answer::Unknown,
                    Err(error) => Answer::Refused(error.to_string()),
                }
            })
            .await;
        }
        Wish::Cancel { grace } => {
            let request = Request::Cancel { run, undoes: false };
            ask(world, request, async |process| {
                let cancel = handle(&process).cancel("on request").grace_period(grace);
                cancelled(cancel.await)
            })
            .await;
        }
        Wish::Undo => {
            let request = Request::Cancel { run, undoes: true };
            ask(world, request, async |process| {
                cancelled(handle(&process).cancel("on request").compensate().await)
            })
            .await;
        }
        Wish::Pause => {
            let request = Request::Pause { run };
            ask(world, request, async |process| {
                paused(handle(&process).pause().await)
            })
            .await;
        }
        Wish::Resume => {
            let request = Request::Resume { run };
            ask(world, request, async |process| {
                paused(handle(&process).resume().await)
            })
            .await;
        }
        Wish::Retry => {
            let request = Request::Retry { run };
            ask(world, request, async |process| {
                forked(handle(&process).retry().await)
            })
            .await;
        }
        Wish::Fork => {
            let Some(node) = world.record(run).and_then(|record| {
                let nodes = record.instance.nodes;
                nodes.first().map(|node| node.name.as_str().to_owned())
            }) else {
                return;
            };
            let request = Request::Fork { run };
            ask(world, request, async |process| {
                forked(handle(&process).fork(node).await)
            })
            .await;
        }
    }
}

async fn look(world: &World, run: InstanceId) {
    let process = world.any_process();
    let looked = tokio::select! {
        looked = process.flow.get(run) => looked,
        () = process.wire.died() => return,
    };
    if let Ok(instance) = looked {
        let saw = What::Saw {
            run,
            status: instance.status,
            visits: instance.nodes.len(),
        };
        world.chronicle.note(process.wire.process, saw);
    }
}

fn cancelled(done: Result<(), CancelError>) -> Answer {
    match done {
        Ok(()) => Answer::Done(None),
        Err(CancelError::AlreadyTerminal { .. }) => Answer::Ended,
        Err(CancelError::Database { .. }) => Answer::Unknown,
        Err(error) => Answer::Refused(error.to_string()),
    }
}

fn paused(done: Result<(), PauseError>) -> Answer {
    match done {
        Ok(()) => Answer::Done(None),
        Err(PauseError::AlreadyTerminal { .. }) => Answer::Ended,
        Err(PauseError::Database { .. }) => Answer::Unknown,
        Err(error) => Answer::Refused(error.to_string()),
    }
}

fn forked(done: Result<Run<Value>, ForkError>) -> Answer {
    match done {
        Ok(run) => Answer::Done(Some(run.id())),
        Err(ForkError::Database { .. } | ForkError::Read(_)) => Answer::Unknown,
        Err(error) => Answer::Refused(error.to_string()),
    }
}
