// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! What operators and tenants do while the murders go on: define workflows, set limits, move and fork
//! runs, prune. All of it may be done again.

use std::time::Duration;

use forktex::db::Db;
use forktex::flow::definition::binding::Node;
use forktex::flow::definition::pipeline::Pipeline;
use forktex::flow::definition::{Declaration, Workflow};
use forktex::flow::prelude::*;
use forktex::flow::state::json::{JsonState, JsonUpdate};
use forktex::flow::{FlowError, Limits, Retention, Schedule};

use crate::arena::Outcome;
use crate::ledger::Ledger;
use crate::workload::{Bear, Journey, JourneyUpdate, journey, note};

/// The tenant whose workflows are defined at run time.
const TENANT: &str = "chaos-tenant";

/// Far more than ever run: the limits are looked at and keep nobody from anything.
const AMPLE: u32 = 10_000;

/// How long a run may take that is waited for; the errand is tried again.
const PATIENCE: Duration = Duration::from_secs(4);

/// How often a run is looked for that is to be moved.
const MOVES_MAX: u32 = 40;
const MOVE_AGAIN_AFTER: Duration = Duration::from_millis(50);

#[step_template("chaos.settle")]
#[step(max_attempts = 40, backoff = ["20ms"])]
async fn settle(ctx: &Ctx, _state: &JsonState, ledger: Resource<Ledger>) -> StepResult<JsonUpdate> {
    let token = ledger.note(ctx).await?;
    Ok(JsonState::update().set("trail", [token]))
}

/// It waits an hour, unless it is moved to version 2.
#[graph(
    name = "chaos.mover", version = 1, state = Journey,
    nodes = { here: note, there: note },
    entry = here, terminal = there,
    topology = [wait_edge(here, there, after = "1h")],
)]
pub(crate) struct Mover;

/// Its wait is over at once.
#[graph(
    name = "chaos.mover", version = 2, state = Journey,
    nodes = { here: note, there: note },
    entry = here, terminal = there,
    topology = [wait_edge(here, there, after = "10ms")],
)]
pub(crate) struct MoverTwo;

/// Nobody asks for it after it has ended: it is pruned.
#[pipeline(name = "chaos.chaff", version = 1, state = Journey, steps = [step(note, name = "chaff")])]
pub(crate) struct Chaff;

/// One of a brood falls, and the others sleep until they are told to end.
#[step(max_attempts = 40, backoff = ["20ms"])]
async fn hatch(ctx: &Ctx, state: &Journey, ledger: Resource<Ledger>) -> StepResult<JourneyUpdate> {
    let token = ledger.note_resumed(ctx).await?;
    if state.key.ends_with(" 0") {
        return Err(StepError::fatal(FALLS));
    }
    ctx.sleep(Duration::from_hours(1)).await?;
    Ok(Journey::update().trail([token]))
}

const FALLS: &str = "it falls, as it should";

#[pipeline(name = "chaos.chick", version = 1, state = Journey, steps = [hatch])]
pub(crate) struct Chick;

#[step(max_attempts = 40, backoff = ["20ms"])]
async fn breed(ctx: &Ctx, state: &Journey, ledger: Resource<Ledger>) -> StepResult<JourneyUpdate> {
    let token = ledger.note_resumed(ctx).await?;
    let chicks = (0..3).map(|number| journey(format!("{} {number}", state.key)));
    match ctx.map(Chick, chicks).await {
        Err(error) if error.to_string().contains(FALLS) => Ok(Journey::update().trail([token])),
        Err(error) => Err(error),
        Ok(_) => Err(StepError::new("none fell")),
    }
}

#[pipeline(name = "chaos.brood", version = 1, state = Journey, steps = [breed])]
pub(crate) struct Brood;

/// It is fired by hand alone: its time comes once a year, and is left out.
pub(crate) struct Yearly;

impl Workflow for Yearly {
    type State = Journey;
    const NAME: &'static str = "chaos.yearly";
    const VERSION: u32 = 1;

    fn declare() -> Declaration {
        let pipeline = Pipeline::<Journey>::new(Self::NAME, Self::VERSION)
            .step(Node::of::<note>().named("yearly"));
        match Schedule::new("0 0 1 1 *") {
            Ok(schedule) => pipeline
                .schedule_with(schedule, || journey("yearly"))
                .build(),
            Err(_) => pipeline.build(),
        }
    }
}

/// How long ended runs are kept.
pub(crate) fn retention() -> Retention {
    let at_once = Retention::new().completed(Duration::from_millis(1));
    Retention::new().workflow(Chaff::NAME, at_once)
}

/// What is done in an office, one thing after the other. Each number has runs of its own.
pub(crate) async fn work(flow: &Flow, db: &Db, number: i64) -> Outcome<()> {
    limit(flow).await?;
    define(flow, db, number).await?;
    schedule(flow).await?;
    wait_and_fork(flow, number).await?;
    move_run(flow, number).await?;
    flow.start(Chaff, journey("chaff")).await?;
    flow.prune().await?;
    flow.start(Brood, journey("brood"))
        .idempotency_key(format!("brood-{number}"))
        .await?;
    // Each is to be cancelled in any case.
    flow.query().workflow(Bear::NAME).cancel("enough").await?;
    Ok(())
}

async fn limit(flow: &Flow) -> Outcome<()> {
    flow.running_limit()
        .workflow("chaos.round")
        .set(AMPLE)
        .await?;
    flow.running_limit()
        .workflow("chaos.leaf")
        .set(AMPLE)
        .await?;
    flow.running_limits().await?;
    flow.running_limit().workflow("chaos.leaf").remove().await?;
    let limits = Limits::none().max_active_runs(AMPLE);
    flow.namespace(TENANT).limit(limits).await?;
    Ok(())
}

/// A tenant's workflow, a run of it in a transaction and one outside, and one that is removed again.
async fn define(flow: &Flow, db: &Db, number: i64) -> Outcome<()> {
    let config = json!({
        "type": "pipeline", "steps": ["chaos.settle"], "reducers": {"trail": "append"},
    });
    for name in ["kept", "removed"] {
        flow.define(name)
            .namespace(TENANT)
            .config(config.clone())
            .await?;
    }
    flow.undefine("removed").namespace(TENANT).await?;
    flow.namespace(TENANT).definitions().await?;
    let run = |key: &str| {
        let run = flow.run("kept").namespace(TENANT);
        run.state(json!({}))
            .idempotency_key(format!("{key}-{number}"))
    };
    run("plain").await?;
    let started = db.transaction(async |tx| -> Result<(), FlowError> {
        run("bound").in_transaction(tx).await?;
        Ok(())
    });
    started.await?;
    Ok(())
}

async fn schedule(flow: &Flow) -> Outcome<()> {
    let yearly = flow.schedule(Yearly::NAME);
    yearly.disable().await?;
    yearly.enable().await?;
    yearly.fire_now().await?;
    Ok(())
}

/// The fork begins where its source did, so that nothing is copied which another owner wrote.
async fn wait_and_fork(flow: &Flow, number: i64) -> Outcome<()> {
    let run = flow.run("chaos.leaf").state(json!(journey("source")));
    let run = run.idempotency_key(format!("source-{number}")).await?;
    run.wait().timeout(PATIENCE).await?;
    run.fork("book_leaf").await?;
    Ok(())
}

async fn move_run(flow: &Flow, number: i64) -> Outcome<()> {
    let run = flow
        .run(Mover::NAME)
        .version(1)
        .state(json!(journey("mover")));
    let run = run.idempotency_key(format!("mover-{number}")).await?;
    for _ in 0..MOVES_MAX {
        flow.migrate(Mover::NAME, 1, 2).dry_run().await?;
        flow.migrate(Mover::NAME, 1, 2).await?;
        if run.refresh().await?.version == MoverTwo::VERSION {
            return Ok(());
        }
        tokio::time::sleep(MOVE_AGAIN_AFTER).await;
    }
    Err("the run could not be moved yet".into())
}
