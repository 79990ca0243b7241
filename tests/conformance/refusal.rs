// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! What is refused: typed, naming the culprit, and writing nothing.

use forktex::db::DbError;
use forktex::flow::definition::binding::Node;
use forktex::flow::definition::pipeline::Pipeline;
use forktex::flow::definition::{Declaration, Workflow};
use forktex::flow::prelude::*;
use forktex::flow::state::StateError;
use forktex::flow::state::payload::PayloadError;
use forktex::flow::{BuildError, BuildFault, DriverError, StartError};
use forktex_testkit::TestDatabase;

use crate::stage::{ALL, Stage, on_both_stores};
use crate::tale::{Cast, Pair, Tale, TaleUpdate, line, tale};
use crate::world::{World, ended, nodes};

struct Heat;
struct Light;

#[step]
async fn bask(
    ctx: &Ctx,
    _state: &Tale,
    _heat: Resource<Heat>,
    _light: Resource<Light>,
) -> StepResult<TaleUpdate> {
    line(ctx)
}

#[step]
async fn pass(ctx: &Ctx, _state: &Tale) -> StepResult<TaleUpdate> {
    line(ctx)
}

/// A workflow that only the test registers which means to.
macro_rules! workflow {
    ($workflow:ident, $name:literal, [$($step:ident as $node:literal),+]) => {
        struct $workflow;

        impl Workflow for $workflow {
            type State = Tale;
            const NAME: &'static str = $name;
            const VERSION: u32 = 1;

            fn declare() -> Declaration {
                Pipeline::<Tale>::new(Self::NAME, Self::VERSION)
                    $(.step(Node::of::<$step>().named($node)))+
                    .build()
            }
        }
    };
}

workflow!(Basking, "refused.basking", [bask as "bask"]);
workflow!(Twin, "refused.twin", [pass as "one"]);
workflow!(OtherTwin, "refused.twin", [pass as "one"]);
workflow!(Before, "refused.changed", [pass as "one", pass as "two"]);
workflow!(After, "refused.changed", [pass as "one", pass as "three"]);

async fn nothing_was_written(world: &impl Stage) {
    assert_eq!(world.runs_of(&ALL).await, 0);
}

async fn an_unknown_workflow_or_version_is_named_with_what_is_near(world: &impl Stage) {
    let flow = world.flow(Cast::default()).await;
    let refused = flow.run("tale.pairs").await.unwrap_err();
    let StartError::UnknownWorkflow { name, nearest, .. } = &refused else {
        panic!("refused otherwise: {refused}")
    };
    assert_eq!(name, "tale.pairs");
    assert_eq!(nearest.as_ref().unwrap().as_str(), "tale.pair");
    let message = refused.to_string();
    assert!(
        message.contains("`tale.pairs`") && message.contains("`tale.pair`"),
        "{message}"
    );
    assert!(!message.contains("  "), "{message}");
    assert!(flow.workflow("tale.pairs").is_err());

    let refused = flow.run("tale.pair").version(7).await.unwrap_err();
    let StartError::UnknownVersion {
        version, versions, ..
    } = &refused
    else {
        panic!("refused otherwise: {refused}")
    };
    assert_eq!((*version, versions.as_slice()), (7, &[1][..]));
    nothing_was_written(world).await;
    flow.close().await.unwrap();
}

async fn a_state_that_does_not_fit_is_refused_by_its_field(world: &impl Stage) {
    let flow = world.flow(Cast::default()).await;
    let states = [
        (json!({}), "title"),
        (json!({"title": 5}), "title"),
        (json!({"title": "t", "lines": "not a list"}), "lines"),
        (json!({"title": "t", "total": "many"}), "total"),
        (json!(["no", "object"]), "Tale"),
    ];
    for (state, culprit) in states {
        let refused = flow
            .run("tale.pair")
            .state(state.clone())
            .await
            .unwrap_err();
        let StartError::State { workflow, error } = &refused else {
            panic!("{state} was refused otherwise: {refused}")
        };
        assert_eq!(workflow.as_str(), "tale.pair");
        assert!(matches!(error, StateError::Decode { .. }), "{error:?}");
        assert!(refused.to_string().contains(culprit), "{state}: {refused}");
    }
    nothing_was_written(world).await;
    flow.close().await.unwrap();
}

async fn a_nul_or_a_size_beyond_the_limit_is_refused_with_its_place(world: &impl Stage) {
    let flow = world.flow(Cast::default()).await;
    let refused = flow.start(Pair, tale("nul\0")).await.unwrap_err();
    let StartError::Payload { part, error, .. } = &refused else {
        panic!("refused otherwise: {refused}")
    };
    let pointer = "/title".to_owned();
    assert_eq!((*part, error), ("state", &PayloadError::Nul { pointer }));

    let metadata = json!({"note": ["x", "\0"]});
    let refused = flow
        .start(Pair, tale("t"))
        .metadata(metadata)
        .await
        .unwrap_err();
    let StartError::Payload { part, error, .. } = &refused else {
        panic!("refused otherwise: {refused}")
    };
    let pointer = "/note/1".to_owned();
    assert_eq!((*part, error), ("metadata", &PayloadError::Nul { pointer }));

    let metadata = json!({"note": "x".repeat(64 * 1024)});
    let refused = flow
        .start(Pair, tale("t"))
        .metadata(metadata)
        .await
        .unwrap_err();
    let StartError::Payload {
        error: PayloadError::TooLarge { bytes_max, .. },
        part,
        ..
    } = &refused
    else {
        panic!("refused otherwise: {refused}")
    };
    assert_eq!((*part, *bytes_max), ("metadata", 64 * 1024));

    for metadata in [json!([1]), json!("text"), json!(7)] {
        let refused = flow
            .start(Pair, tale("t"))
            .metadata(metadata)
            .await
            .unwrap_err();
        assert!(matches!(refused, StartError::Metadata { .. }), "{refused}");
    }
    let refused = flow
        .start(Pair, tale("t"))
        .idempotency_key("")
        .await
        .unwrap_err();
    assert!(
        matches!(refused, StartError::IdempotencyKey { .. }),
        "{refused}"
    );
    nothing_was_written(world).await;
    flow.close().await.unwrap();
}

async fn an_idempotency_key_gives_the_same_run_and_conflicts_with_another_input(
    world: &impl Stage,
) {
    let flow = world.flow(Cast::default()).await;
    flow.start_driver().await.unwrap();
    let start = |title, key| flow.start(Pair, tale(title)).idempotency_key(key);
    let run = start("one", "key").await.unwrap();
    assert_eq!(start("one", "key").await.unwrap().id(), run.id());
    ended(&run).await;
    assert_eq!(
        start("one", "key").await.unwrap().id(),
        run.id(),
        "also once it ended"
    );

    let refused = start("two", "key").await.unwrap_err();
    let StartError::Conflict { key, existing, .. } = &refused else {
        panic!("refused otherwise: {refused}")
    };
    assert_eq!((key.as_str(), *existing), ("key", run.id()));
    let other = start("two", "other key").await.unwrap();
    let elsewhere = start("two", "key").namespace("elsewhere").await.unwrap();
    assert!(run.id() != other.id() && other.id() != elsewhere.id());
    for run in [&other, &elsewhere] {
        assert_eq!(ended(run).await.status, InstanceStatus::Completed);
    }
    assert_eq!(nodes(&world.noted(run.id()).await), ["first", "second"]);
    assert_eq!(world.runs_of(&ALL).await, 3);
    flow.close().await.unwrap();
}

#[tokio::test]
async fn all_missing_resources_are_listed_at_once() {
    // Nothing is connected to: the URL leads nowhere.
    let builder = Flow::builder("postgres://nobody@127.0.0.1:1/none").register::<Basking>();
    let refused = builder.build().await.unwrap_err();
    let BuildError::Faults(faults) = &refused else {
        panic!("refused otherwise: {refused}")
    };
    let missing = |workflow: &str, resource: &str| {
        faults.iter().any(|fault| {
            matches!(fault, BuildFault::MissingResource { workflow: of, resource: what, .. }
                if of.as_str() == workflow && what.contains(resource))
        })
    };
    assert!(missing("refused.basking", "Heat"), "{refused}");
    assert!(missing("refused.basking", "Light"), "{refused}");
    assert!(
        missing("tale.pair", "Ledger") && missing("tale.pair", "Cast"),
        "{refused}"
    );
    assert!(refused.to_string().contains("Heat") && refused.to_string().contains("Light"));
}

#[tokio::test]
async fn two_workflows_of_one_name_and_version_are_refused_with_both_places() {
    let world = World::bare(TestDatabase::create().await.unwrap());
    let builder = world.builder("worker", Cast::default());
    let refused = builder
        .register::<Twin>()
        .register::<OtherTwin>()
        .build()
        .await
        .unwrap_err();
    let BuildError::Faults(faults) = &refused else {
        panic!("refused otherwise: {refused}")
    };
    let [
        BuildFault::Duplicate {
            workflow,
            version,
            modules,
        },
    ] = &faults[..]
    else {
        panic!("refused otherwise: {refused}")
    };
    assert_eq!((workflow.as_str(), *version), ("refused.twin", 1));
    assert_eq!(modules.len(), 2);
    // The same one twice is no duplicate.
    let builder = world.builder("worker", Cast::default());
    builder
        .register::<Twin>()
        .register::<Twin>()
        .register::<Pair>()
        .build()
        .await
        .unwrap();
}

#[tokio::test]
async fn the_same_version_with_another_topology_is_refused_with_the_difference() {
    let world = World::create().await;
    let before = world
        .builder("before", Cast::default())
        .register::<Before>();
    let before = before.build().await.unwrap();
    before.start_driver().await.unwrap();
    let run = before.start(Before, tale("before")).await.unwrap();
    ended(&run).await;

    let after = world.builder("after", Cast::default()).register::<After>();
    let after = after.build().await.unwrap();
    let refused = after.start_driver().await.unwrap_err();
    let DriverError::Topology(changed) = &refused else {
        panic!("refused otherwise: {refused}")
    };
    assert_eq!(changed.workflow.as_str(), "refused.changed");
    let difference = &changed.difference;
    assert!(
        difference.contains("three") && difference.contains("two"),
        "{difference}"
    );
    assert!(
        difference.contains('+') && difference.contains('-'),
        "{difference}"
    );
    let refused = after.start(After, tale("after")).await.unwrap_err();
    assert!(matches!(refused, StartError::Topology(_)), "{refused}");
    assert_eq!(
        world
            .number("SELECT count(*) FROM forktex_flow.instance")
            .await,
        1
    );
    after.close().await.unwrap();
    before.close().await.unwrap();
}

#[tokio::test]
async fn before_init_every_call_says_to_run_the_migrations() {
    let world = World::bare(TestDatabase::create().await.unwrap());
    let flow = world.flow(Cast::default()).await;
    let start = flow.start(Pair, tale("early")).await.unwrap_err();
    let StartError::Database { error, .. } = &start else {
        panic!("refused otherwise: {start}")
    };
    assert!(matches!(error, DbError::Missing { .. }), "{error:?}");
    assert!(start.to_string().contains("run the migrations"), "{start}");
    let driver = flow.start_driver().await.unwrap_err();
    assert!(
        matches!(driver, DriverError::Database(DbError::Missing { .. })),
        "{driver}"
    );
    assert!(
        driver.to_string().contains("run the migrations"),
        "{driver}"
    );
    // The application's role may not create the schema, and says so.
    let init = flow.init().await.unwrap_err();
    let FlowError::Migrate(init) = FlowError::from(init) else {
        panic!("it is a migration error")
    };
    assert!(!init.to_string().is_empty());
    flow.close().await.unwrap();
}

#[tokio::test]
async fn a_wrong_url_is_a_typed_error_that_shows_no_password() {
    let world = World::bare(TestDatabase::create().await.unwrap());
    let unknown_role = world
        .database
        .url()
        .replacen("forktex", "nobody_forktex", 1);
    let urls = [
        "not a url",
        "mysql://user:hunter2@127.0.0.1/none",
        "postgres://user:hunter2@127.0.0.1:1/none",
        unknown_role.as_str(),
    ];
    for url in urls {
        let refused = world
            .at(url, "worker", Cast::default())
            .build()
            .await
            .unwrap_err();
        assert!(
            matches!(refused, BuildError::Database(_)),
            "{url}: {refused}"
        );
        let shown = format!("{refused} {refused:?}");
        assert!(!shown.contains("hunter2"), "{shown}");
    }
    let faulty = world
        .builder("worker", Cast::default())
        .slots(0)
        .build()
        .await;
    let refused = faulty.unwrap_err();
    assert!(
        matches!(
            refused,
            BuildError::Option {
                option: "slots",
                ..
            }
        ),
        "{refused}"
    );
}

on_both_stores! {
    an_unknown_workflow_or_version_is_named_with_what_is_near,
    a_state_that_does_not_fit_is_refused_by_its_field,
    a_nul_or_a_size_beyond_the_limit_is_refused_with_its_place,
    an_idempotency_key_gives_the_same_run_and_conflicts_with_another_input,
}
