// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! Writes that are there if and only if the run, the signal or the checkpoint is.

use std::time::Duration;

use forktex::db::{DbOptions, sqlx};
use forktex::flow::error::failure::StepFailureKind;
use forktex::flow::prelude::*;
use forktex::flow::{ReadError, StartError};

use crate::signal::flow_db;
use crate::tale::{Cast, Pair, Solo, Tale, TaleUpdate, Trio, line, tale};
use crate::world::{ATTEMPT_FAILED, COMPLETED, World, ended};

async fn shop(world: &World) {
    for sql in [
        "CREATE TABLE public.sale (number bigint GENERATED ALWAYS AS IDENTITY, item text UNIQUE)",
        "GRANT ALL ON public.sale TO PUBLIC",
    ] {
        sqlx::query(sql).execute(&world.pool).await.unwrap();
    }
}

const SALES: &str = "SELECT count(*) FROM public.sale";

async fn sell(ctx: &Ctx, item: &str) -> StepResult<TaleUpdate> {
    ctx.transaction(async |tx| {
        sqlx::query("INSERT INTO public.sale (item) VALUES ($1)")
            .bind(item)
            .execute(tx.connection())
            .await?;
        Ok(Tale::update().lines([item]))
    })
    .await
}

#[tokio::test]
async fn a_steps_writes_are_committed_with_its_checkpoint() {
    let world = World::create().await;
    shop(&world).await;
    let cast = Cast::default().on("first", |ctx, _| async move {
        let update = sell(&ctx, "lamp").await;
        panic!(
            "nothing behind the transaction is run: {:?}",
            update.is_ok()
        );
    });
    let flow = world.flow(cast).await;
    flow.start_driver().await.unwrap();
    let run = flow.start(Pair, tale("sale")).await.unwrap();
    let done = ended(&run).await;
    assert_eq!(done.state.lines, ["lamp", "second"]);
    assert_eq!(world.number(SALES).await, 1);
    assert_eq!(world.count(run.id(), COMPLETED).await, 2);
    flow.close().await.unwrap();
}

#[tokio::test]
async fn parallel_members_may_each_have_a_transaction() {
    let world = World::create().await;
    shop(&world).await;
    let cast = ["left", "middle", "right"]
        .into_iter()
        .fold(Cast::default(), |cast, node| {
            cast.on(node, move |ctx, _| async move { sell(&ctx, node).await })
        });
    let flow = world.flow(cast).await;
    flow.start_driver().await.unwrap();
    let run = flow.start(Trio, tale("sales")).await.unwrap();
    assert_eq!(ended(&run).await.state.lines, ["left", "middle", "right"]);
    assert_eq!(world.number(SALES).await, 3);
    flow.close().await.unwrap();
}

/// A block holds a connection while a neighbour's checkpoint needs another: blocks must not take them all.
#[tokio::test]
async fn transactions_leave_connections_for_the_checkpoints_that_they_wait_for() {
    const RUNS: usize = 12;
    let world = World::create().await;
    shop(&world).await;
    let cast = Cast::default()
        .on("left", |ctx, tale| async move {
            ctx.transaction(async |tx| {
                sqlx::query("INSERT INTO public.sale (item) VALUES ($1)")
                    .bind(&tale.title)
                    .execute(tx.connection())
                    .await?;
                // Work, in which the neighbours end.
                tokio::time::sleep(Duration::from_millis(100)).await;
                Ok(Tale::update().lines([ctx.node().as_str()]))
            })
            .await
        })
        .on("middle", |ctx, _| async move {
            tokio::time::sleep(Duration::from_millis(50)).await;
            line(&ctx)
        });
    let options = DbOptions::new().max_connections(3);
    let builder = world.builder("worker", cast).db_options(options);
    let flow = builder.build().await.unwrap();
    let mut runs = Vec::new();
    for number in 0..RUNS {
        runs.push(flow.start(Trio, tale(&number.to_string())).await.unwrap());
    }
    flow.start_driver().await.unwrap();
    for run in &runs {
        let done = ended(run).await;
        assert_eq!(done.state.lines, ["left", "middle", "right"]);
    }
    assert_eq!(world.number(SALES).await, 12);
    flow.close().await.unwrap();
}

#[tokio::test]
async fn a_block_that_errs_wrote_nothing_and_is_an_attempt_that_failed() {
    let world = World::create().await;
    shop(&world).await;
    let cast = Cast::default().on("only", |ctx, _| async move {
        ctx.transaction(async |tx| {
            sqlx::query("INSERT INTO public.sale (item) VALUES ('lamp')")
                .execute(tx.connection())
                .await?;
            if ctx.attempt() < 3 {
                return Err(StepError::new("not yet"));
            }
            Ok(Tale::update().lines(["sold"]))
        })
        .await
    });
    let flow = world.flow(cast).await;
    flow.start_driver().await.unwrap();
    let run = flow.start(Solo, tale("errs")).await.unwrap();
    assert_eq!(ended(&run).await.state.lines, ["sold"]);
    assert_eq!(world.number(SALES).await, 1);
    assert_eq!(world.count(run.id(), ATTEMPT_FAILED).await, 2);
    flow.close().await.unwrap();
}

#[tokio::test]
async fn a_commit_that_the_database_refuses_is_an_attempt_that_failed() {
    let world = World::create().await;
    shop(&world).await;
    sqlx::query(
        "CREATE FUNCTION public.refuse() RETURNS trigger LANGUAGE plpgsql AS
         $$ BEGIN RAISE EXCEPTION USING ERRCODE = 'check_violation'; END $$",
    )
    .execute(&world.pool)
    .await
    .unwrap();
    sqlx::query(
        "CREATE CONSTRAINT TRIGGER refused AFTER INSERT ON public.sale
         DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION public.refuse()",
    )
    .execute(&world.pool)
    .await
    .unwrap();
    let cast = Cast::default().on("only", |ctx, _| async move { sell(&ctx, "lamp").await });
    let flow = world.flow(cast).await;
    flow.start_driver().await.unwrap();
    let run = flow.start(Solo, tale("refused")).await.unwrap();
    let done = ended(&run).await;
    assert_eq!(done.status, InstanceStatus::Failed);
    let node = done.node("only").unwrap();
    assert_eq!(node.attempt, 3);
    assert_eq!(node.error.clone().unwrap().kind, StepFailureKind::Error);
    assert_eq!(world.number(SALES).await, 0);
    assert!(done.state.lines.is_empty());
    flow.close().await.unwrap();
}

#[tokio::test]
async fn a_durable_call_inside_a_transaction_is_an_error() {
    let world = World::create().await;
    let cast = Cast::default().on("only", |ctx, _| async move {
        ctx.transaction(async |_| {
            ctx.sleep(std::time::Duration::from_secs(1)).await?;
            Ok(Tale::update())
        })
        .await
    });
    let flow = world.flow(cast).await;
    flow.start_driver().await.unwrap();
    let run = flow.start(Solo, tale("inside")).await.unwrap();
    let done = ended(&run).await;
    assert_eq!(done.status, InstanceStatus::Failed);
    let failure = done.failure.unwrap().to_string();
    assert!(failure.contains("before the transaction"), "{failure}");
    flow.close().await.unwrap();
}

#[tokio::test]
async fn a_child_spawned_in_a_steps_transaction_exists_if_and_only_if_that_commits() {
    let world = World::create().await;
    shop(&world).await;
    let cast = Cast::default()
        .on("first", |ctx, told| async move {
            ctx.transaction(async |tx| {
                sqlx::query("INSERT INTO public.sale (item) VALUES ('lamp')")
                    .execute(tx.connection())
                    .await?;
                let child = ctx.spawn(Solo, tale("child")).in_transaction(tx).await?;
                if ctx.attempt() == 1 || told.title == "never" {
                    return Err(StepError::new("rolled back"));
                }
                Ok(Tale::update().subject(child.id().to_string()))
            })
            .await
        })
        .on("second", |ctx, told| async move {
            let child: InstanceId = told.subject.unwrap().parse().map_err(StepError::fatal)?;
            let child = ctx.wait::<Tale>(child).await?;
            Ok(Tale::update().lines(child.lines))
        })
        .on("only", |ctx, told| async move {
            if told.title == "child" {
                return line(&ctx);
            }
            let db = flow_db_at(&told.title).await;
            let mut other = db.begin().await?;
            let spawn = ctx.spawn(Solo, tale("outside"));
            spawn.in_transaction(&mut other).await?;
            line(&ctx)
        });
    let flow = world.flow(cast).await;
    flow.start_driver().await.unwrap();
    let run = flow.start(Pair, tale("parent")).await.unwrap();
    let done = ended(&run).await;
    assert_eq!(done.status, InstanceStatus::Completed);
    assert_eq!(done.state.lines, ["only"]);
    assert_eq!(done.node("first").unwrap().attempt, 2);
    assert_eq!(world.number(SALES).await, 1);
    let children = flow.query().parent(run.id());
    assert_eq!(
        children.count().await.unwrap(),
        1,
        "the first is rolled back"
    );

    let never = flow.start(Pair, tale("never")).await.unwrap();
    assert_eq!(ended(&never).await.status, InstanceStatus::Failed);
    assert_eq!(flow.query().parent(never.id()).count().await.unwrap(), 0);

    let outside = flow.start(Solo, tale(world.database.url())).await.unwrap();
    let failure = ended(&outside).await.failure.unwrap().to_string();
    assert!(
        failure.contains("only inside `ctx.transaction`"),
        "{failure}"
    );
    flow.close().await.unwrap();
}

async fn flow_db_at(url: &str) -> forktex::db::Db {
    let options = forktex::db::DbOptions::new();
    forktex::db::Db::connect(url, options).await.unwrap()
}

#[tokio::test]
async fn a_run_started_in_a_transaction_exists_if_and_only_if_that_commits() {
    let world = World::create().await;
    shop(&world).await;
    let flow = world.flow(Cast::default()).await;
    flow.start_driver().await.unwrap();
    let db = flow_db(&world).await;
    let mut lost = None;
    let rolled_back = db
        .transaction(async |tx| -> Result<(), FlowError> {
            let run = flow.start(Solo, tale("lost")).in_transaction(tx).await?;
            lost = Some(run.id());
            Err(StartError::Closed {
                workflow: run_name(),
            }
            .into())
        })
        .await;
    assert!(rolled_back.is_err());
    let missing = flow.get(lost.unwrap()).await;
    assert!(
        matches!(missing, Err(ReadError::NotFound { .. })),
        "{missing:?}"
    );

    let run = db
        .transaction(async |tx| -> Result<Run<Tale>, FlowError> {
            sqlx::query("INSERT INTO public.sale (item) VALUES ('lamp')")
                .execute(tx.connection())
                .await
                .map_err(forktex::db::DbError::from)?;
            let start = || flow.start(Solo, tale("kept")).idempotency_key("k-1");
            let run = start().in_transaction(tx).await?;
            let same = start().in_transaction(tx).await?;
            assert_eq!(run.id(), same.id());
            let named = flow.run("tale.solo").state(json!({"title": "named"}));
            named.in_transaction(tx).await?;
            Ok(run)
        })
        .await
        .unwrap();
    assert_eq!(ended(&run).await.status, InstanceStatus::Completed);
    assert_eq!(world.number(SALES).await, 1);
    let runs = world
        .number("SELECT count(*) FROM forktex_flow.instance")
        .await;
    assert_eq!(runs, 2);
    flow.close().await.unwrap();
}

fn run_name() -> forktex::flow::WorkflowName {
    forktex::flow::WorkflowName::new("tale.solo").unwrap()
}
