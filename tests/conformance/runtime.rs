// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! Workflows that tenants define at run time: c28, c45 to c47, and quotas.

use std::time::{Duration, Instant};

use forktex::db::sqlx;
use forktex::flow::error::failure::RunFailure;
use forktex::flow::prelude::*;
use forktex::flow::state::json::{JsonState, JsonUpdate};
use forktex::flow::{DefinitionError, ForkError, Limits, StartError, WaitingOn};

use crate::stage::{ALL, Stage, on_both_stores};
use crate::tale::{Cast, Solo, line, tale};
use crate::world::{Gate, LIMIT, World, ended, until};

#[step_template("network.reroute")]
#[step]
async fn reroute(_ctx: &Ctx, state: &JsonState) -> StepResult<JsonUpdate> {
    let link: String = state.get("link")?.unwrap_or_default();
    let tries: u32 = state.get("tries")?.unwrap_or_default();
    Ok(JsonState::update()
        .set("log", [format!("rerouted {link}")])
        .set("tries", tries + 1))
}

#[step_template("network.alert")]
#[step]
async fn alert(_ctx: &Ctx, _state: &JsonState) -> StepResult<JsonUpdate> {
    Ok(JsonState::update().set("log", ["alerted"]))
}

fn pipeline() -> serde_json::Value {
    json!({
        "type": "pipeline",
        "steps": ["reroute", {"step": "network.alert", "when": {"field": "ok", "is": false}}],
        "reducers": {"log": "append"},
    })
}

async fn define(flow: &Flow, config: serde_json::Value) -> Result<(), DefinitionError> {
    flow.define("failover")
        .namespace("org-abc")
        .config(config)
        .await
}

async fn c45_what_one_process_defines_another_runs_within_a_second(world: &impl Stage) {
    let (a, b) = (
        world.flow(Cast::default()).await,
        world.flow(Cast::default()).await,
    );
    b.start_driver().await.unwrap();
    define(&a, pipeline()).await.unwrap();
    let defined_at = Instant::now();
    let run = a.run("failover").namespace("org-abc");
    let run = run
        .state(json!({"link": "eth0", "ok": false}))
        .await
        .unwrap();
    let done = ended(&run).await;
    assert!(
        defined_at.elapsed() < Duration::from_secs(3),
        "{:?}",
        defined_at.elapsed()
    );
    assert_eq!(done.status, InstanceStatus::Completed);
    assert_eq!(done.state["log"], json!(["rerouted eth0", "alerted"]));
    assert_eq!(done.namespace.as_str(), "org-abc");

    // A process that heard nothing finds it in the table; another namespace does not.
    let c = world.flow(Cast::default()).await;
    let run = c
        .run("failover")
        .namespace("org-abc")
        .state(json!({"ok": true}))
        .await
        .unwrap();
    let done = ended(&run).await;
    assert_eq!(done.nodes[1].status, NodeStatus::Skipped);
    let elsewhere = c.run("failover").namespace("org-other").await;
    assert!(
        matches!(elsewhere, Err(StartError::UnknownWorkflow { .. })),
        "{elsewhere:?}"
    );

    // A new version is what is started from then on.
    let config = json!({"type": "pipeline", "steps": ["alert"]});
    let newer = a
        .define("failover")
        .namespace("org-abc")
        .version(2)
        .config(config);
    newer.await.unwrap();
    until("the other process starts version 2", async || {
        let run = b.run("failover").namespace("org-abc").await.unwrap();
        ended(&run).await.version == 2
    })
    .await;
    let definitions = c.namespace("org-abc").definitions().await.unwrap();
    let versions: Vec<u32> = definitions.iter().map(|known| known.version).collect();
    assert_eq!(versions, [1, 2]);
    assert_eq!(definitions[0].config, pipeline());
    for flow in [a, b, c] {
        flow.close().await.unwrap();
    }
}

async fn c28_a_definition_with_faults_is_refused_whole_and_leaves_nothing(world: &impl Stage) {
    let flow = world.flow(Cast::default()).await;
    let config = json!({"type": "graph", "topology": [
        {"from": "__START__", "to": "reroute"},
        {"from": "reroute", "to": "allert"},
        {"from": "reroute", "to": "__END__", "when": {"field": "a", "nearly": 1}},
    ]});
    let refused = define(&flow, config).await;
    let Err(DefinitionError::Invalid { faults, .. }) = refused else {
        panic!("{refused:?}");
    };
    let pointers: Vec<&str> = faults.iter().map(|fault| fault.pointer.as_str()).collect();
    assert_eq!(pointers, ["/topology/2/when/nearly", "/topology/1/to"]);
    let defined = flow.namespace("org-abc").definitions().await.unwrap();
    assert!(defined.is_empty());

    define(&flow, pipeline()).await.unwrap();
    define(&flow, pipeline()).await.unwrap();
    let other = define(&flow, json!({"type": "pipeline", "steps": ["alert"]})).await;
    let Err(DefinitionError::Conflict { difference, .. }) = &other else {
        panic!("{other:?}");
    };
    assert!(difference.contains('/'), "{difference}");
    let platform = flow
        .define("tale.solo")
        .namespace("org-abc")
        .config(pipeline())
        .await;
    assert!(matches!(
        platform,
        Err(DefinitionError::OfThePlatform { .. })
    ));
    let nowhere = flow.define("failover").config(pipeline()).await;
    assert!(matches!(nowhere, Err(DefinitionError::NoNamespace { .. })));
    let zero = flow
        .define("failover")
        .namespace("org-abc")
        .version(0)
        .config(pipeline());
    assert!(matches!(
        zero.await,
        Err(DefinitionError::VersionZero { .. })
    ));
    flow.close().await.unwrap();
}

async fn c46_a_definition_with_living_runs_stays_and_no_start_slips_in_while_it_goes(
    world: &impl Stage,
) {
    let flow = world.flow(Cast::default()).await;
    define(&flow, pipeline()).await.unwrap();
    let run = flow.run("failover").namespace("org-abc").await.unwrap();
    let refused = flow.undefine("failover").namespace("org-abc").await;
    assert!(
        matches!(refused, Err(DefinitionError::InUse { active: 1, .. })),
        "{refused:?}"
    );
    assert_eq!(
        flow.namespace("org-abc").definitions().await.unwrap().len(),
        1
    );
    run.cancel("make room").await.unwrap();

    // Starts race with the removal: each is before it, and then keeps it, or finds nothing.
    for _ in 0..20 {
        let starting: Vec<_> = (0..4)
            .map(|_| {
                let flow = flow.clone();
                tokio::spawn(async move { flow.run("failover").namespace("org-abc").await })
            })
            .collect();
        let removed = flow.undefine("failover").namespace("org-abc").await;
        let mut started = Vec::new();
        for start in starting {
            started.extend(start.await.unwrap().ok());
        }
        if removed.is_ok() {
            assert_eq!(world.living().await, 0, "a start slipped in");
            define(&flow, pipeline()).await.unwrap();
        }
        for run in started {
            run.cancel("next round").await.unwrap();
        }
    }
    flow.undefine("failover")
        .namespace("org-abc")
        .await
        .unwrap();
    let gone = flow.run("failover").namespace("org-abc").await;
    assert!(
        matches!(gone, Err(StartError::UnknownWorkflow { .. })),
        "{gone:?}"
    );
    // Nor does an ended run bring it back.
    define(&flow, pipeline()).await.unwrap();
    flow.start_driver().await.unwrap();
    let last = flow.run("failover").namespace("org-abc").await.unwrap();
    ended(&last).await;
    let forked = last.fork("reroute").await.unwrap();
    ended(&forked).await;
    flow.undefine("failover")
        .namespace("org-abc")
        .await
        .unwrap();
    let fork = last.fork("reroute").await;
    assert!(
        matches!(fork, Err(ForkError::DefinitionGone { .. })),
        "{fork:?}"
    );
    let again = flow.undefine("failover").namespace("org-abc").await;
    assert!(matches!(again, Err(DefinitionError::NotFound { .. })));
    flow.close().await.unwrap();
}

/// A run is spawned while its workflow is being removed: one of both must come first.
#[tokio::test]
async fn c46_no_child_is_spawned_of_a_definition_that_goes_at_that_moment() {
    let world = World::create().await;
    let gate = Gate::new();
    let held = gate.clone();
    let cast = Cast::default().on("only", move |ctx, _| {
        let gate = held.clone();
        async move {
            gate.pass().await;
            ctx.spawn_named("failover", json!({})).await?;
            line(&ctx)
        }
    });
    let flow = world.flow(cast).await;
    define(&flow, pipeline()).await.unwrap();
    flow.start_driver().await.unwrap();
    let parent = flow.start(Solo, tale("parent")).namespace("org-abc");
    let parent = parent.await.unwrap();
    gate.until_arrived(1).await;

    let mut removal = world.pool.begin().await.unwrap();
    sqlx::query("UPDATE forktex_flow.runtime_definition SET is_removed = true")
        .execute(&mut *removal)
        .await
        .unwrap();
    gate.open();
    until("the spawn waits for the removal", async || {
        let waiting = "SELECT count(*) FROM pg_stat_activity
            WHERE datname = current_database() AND wait_event_type = 'Lock'";
        world.number(waiting).await == 1
    })
    .await;
    removal.commit().await.unwrap();
    until("the parent rests", async || {
        let parent = parent.refresh().await.unwrap();
        parent.waiting_on == Some(WaitingOn::CompatibleWorker)
    })
    .await;
    assert_eq!(
        world
            .number("SELECT count(*) FROM forktex_flow.active")
            .await,
        1
    );
    flow.close().await.unwrap();
}

async fn c25_a_node_none_of_whose_edges_holds_fails_the_run_and_is_named(world: &impl Stage) {
    let flow = world.flow(Cast::default()).await;
    flow.start_driver().await.unwrap();
    let config = json!({
        "type": "graph",
        "nodes": {"first": "network.reroute"},
        "topology": [
            {"from": "__START__", "to": "first"},
            {"from": "first", "to": "__END__", "when": {"field": "is_open", "is": true}},
        ],
    });
    define(&flow, config).await.unwrap();
    let start = |state| flow.run("failover").namespace("org-abc").state(state);
    let stuck = start(json!({"is_open": false})).await.unwrap();
    let failed = ended(&stuck).await;
    let Some(RunFailure::GraphStuck { node, .. }) = &failed.failure else {
        panic!("{:?}", failed.failure);
    };
    assert_eq!(node.as_str(), "first");
    assert_eq!(failed.path(), ["first"]);
    let open = start(json!({"is_open": true})).await.unwrap();
    assert_eq!(ended(&open).await.status, InstanceStatus::Completed);
    flow.close().await.unwrap();
}

async fn c47_an_edge_whose_condition_is_false_lets_the_next_be_tried(world: &impl Stage) {
    let flow = world.flow(Cast::default()).await;
    flow.start_driver().await.unwrap();
    let config = json!({
        "type": "graph",
        "nodes": {"first": "network.reroute", "loud": "alert"},
        "topology": [
            {"from": "__START__", "to": "first"},
            {"from": "first", "to": "first", "when": {"field": "tries", "lt": 3}},
            {"from": "first", "to": "loud", "when": {"field": "quiet", "ne": true}},
            {"from": "first", "to": "__END__", "when": {"field": "stuck", "ne": true}},
            {"from": "loud", "to": "heard", "on": "peer.heard"},
            {"from": "heard", "to": "__END__"},
        ],
        "max_visits": 5,
        "reducers": {"log": "append"},
    });
    let mut config = config;
    config["nodes"]["heard"] = json!("alert");
    define(&flow, config).await.unwrap();
    let start = |state| {
        flow.run("failover")
            .namespace("org-abc")
            .state(state)
            .into_future()
    };
    let loud = start(json!({"link": "a"})).await.unwrap();
    loud.send_named("peer.heard", json!({"log": ["heard"], "peer": "b"}))
        .await
        .unwrap();
    let done = ended(&loud).await;
    assert_eq!(done.status, InstanceStatus::Completed);
    assert_eq!(
        done.state["log"],
        json!([
            "rerouted a",
            "rerouted a",
            "rerouted a",
            "alerted",
            "heard",
            "alerted"
        ])
    );
    assert_eq!(done.state["peer"], json!("b"));
    let quiet = ended(&start(json!({"quiet": true})).await.unwrap()).await;
    assert_eq!(quiet.status, InstanceStatus::Completed);
    let stuck = start(json!({"quiet": true, "stuck": true})).await.unwrap();
    let stuck = ended(&stuck).await;
    let failure = stuck.failure.unwrap().to_string();
    assert!(
        failure.contains("`first`") && failure.contains("no edge"),
        "{failure}"
    );
    flow.close().await.unwrap();
}

async fn a_namespace_uses_no_more_than_its_limits_however_many_start_at_once(world: &impl Stage) {
    let (a, b) = (
        world.flow(Cast::default()).await,
        world.flow(Cast::default()).await,
    );
    let limits = Limits::none().max_active_runs(5).max_definitions(1);
    a.namespace("org-abc").limit(limits).await.unwrap();
    define(&a, pipeline()).await.unwrap();
    let second = a
        .define("other")
        .namespace("org-abc")
        .config(pipeline())
        .await;
    assert!(
        matches!(second, Err(DefinitionError::TooMany { max: 1, .. })),
        "{second:?}"
    );

    let mut starting = tokio::task::JoinSet::new();
    for number in 0..20 {
        let flow = if number % 2 == 0 {
            a.clone()
        } else {
            b.clone()
        };
        starting.spawn(async move {
            let key = format!("k-{number}");
            flow.run("failover")
                .namespace("org-abc")
                .idempotency_key(key)
                .await
        });
    }
    let outcomes = starting.join_all().await;
    let refused = |outcome: &&Result<Run, StartError>| {
        matches!(outcome, Err(StartError::QuotaExceeded { max: 5, .. }))
    };
    assert_eq!(outcomes.iter().filter(|outcome| outcome.is_ok()).count(), 5);
    assert_eq!(outcomes.iter().filter(refused).count(), 15, "{outcomes:?}");
    assert_eq!(world.runs_of(&ALL).await, 5);
    // Workflows of the platform count as well where they run for the namespace; others do not.
    let platform = a.run("tale.solo").state(json!({"title": "x"}));
    let counted = platform.namespace("org-abc").await;
    assert!(
        matches!(counted, Err(StartError::QuotaExceeded { .. })),
        "{counted:?}"
    );
    // A process that has asked for nothing yet hears of the limits as well.
    let late = world.flow(Cast::default()).await;
    let counted = late.start(Solo, tale("x")).namespace("org-abc").await;
    assert!(
        matches!(counted, Err(StartError::QuotaExceeded { .. })),
        "{counted:?}"
    );
    a.run("tale.solo")
        .state(json!({"title": "x"}))
        .namespace("org-b")
        .await
        .unwrap();

    let limits = Limits::none().starts_per_minute(6);
    a.namespace("org-abc").limit(limits).await.unwrap();
    a.run("failover")
        .namespace("org-abc")
        .idempotency_key("k-6th")
        .await
        .unwrap();
    let seventh = a.run("failover").namespace("org-abc").await;
    let Err(StartError::QuotaExceeded {
        retry_after: Some(delay),
        ..
    }) = seventh
    else {
        panic!("{seventh:?}");
    };
    assert!(
        delay <= Duration::from_mins(1) && delay > LIMIT,
        "{delay:?}"
    );
    // What was started before under its key is no other start.
    a.run("failover")
        .namespace("org-abc")
        .idempotency_key("k-6th")
        .await
        .unwrap();
    a.close().await.unwrap();
    b.close().await.unwrap();
}

on_both_stores! {
    c25_a_node_none_of_whose_edges_holds_fails_the_run_and_is_named,
    c45_what_one_process_defines_another_runs_within_a_second,
    c28_a_definition_with_faults_is_refused_whole_and_leaves_nothing,
    c46_a_definition_with_living_runs_stays_and_no_start_slips_in_while_it_goes,
    c47_an_edge_whose_condition_is_false_lets_the_next_be_tried,
    a_namespace_uses_no_more_than_its_limits_however_many_start_at_once,
}
