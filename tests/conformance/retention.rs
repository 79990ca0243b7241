// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! Runs are kept for as long as they are to be, and then removed whole.

use std::time::Duration;

use forktex::db::sqlx;
use forktex::flow::Retention;
use forktex::flow::prelude::*;

use crate::tale::{Cast, Pair, Solo, tale};
use crate::world::{World, ended, until};

const HOUR: Duration = Duration::from_hours(1);

fn cast() -> Cast {
    Cast::default().on("only", |ctx, tale| async move {
        if tale.title == "fails" {
            return Err(StepError::fatal("as told"));
        }
        if tale.title == "parent" {
            let child = ctx.spawn(Solo, crate::tale::tale("child")).await?;
            ctx.wait(child).await?;
            ctx.signal_named("end").await?;
        }
        crate::tale::line(&ctx)
    })
}

/// As if all that has ended had ended two hours ago.
pub(crate) async fn age(world: &World) {
    sqlx::query(
        "UPDATE forktex_flow.instance SET created_at = created_at - interval '2 hours',
             finished_at = finished_at - interval '2 hours'
         WHERE finished_at IS NOT NULL",
    )
    .execute(&world.pool)
    .await
    .unwrap();
}

#[tokio::test]
async fn what_is_old_enough_is_removed_whole_and_nothing_else_is() {
    let world = World::create().await;
    let retention = Retention::new()
        .completed(HOUR)
        .failed(3 * HOUR)
        .workflow("tale.pair", Retention::new().completed(5 * HOUR));
    let builder = world.builder("worker", cast()).retention(retention);
    let flow = builder.build().await.unwrap();
    flow.start_driver().await.unwrap();
    let old = flow
        .start(Solo, tale("old"))
        .idempotency_key("k")
        .await
        .unwrap();
    old.send_named("unread", json!({})).await.unwrap();
    let failed = flow.start(Solo, tale("fails")).await.unwrap();
    let pair = flow.start(Pair, tale("pair")).await.unwrap();
    let parent = flow.start(Solo, tale("parent")).await.unwrap();
    for run in [&old, &failed, &pair] {
        ended(run).await;
    }
    until("the child has ended", async || {
        flow.query()
            .parent(parent.id())
            .status([InstanceStatus::Completed])
            .count()
            .await
            .unwrap()
            == 1
    })
    .await;
    age(&world).await;
    let young = flow.start(Solo, tale("young")).await.unwrap();
    ended(&young).await;

    assert_eq!(flow.prune().await.unwrap(), 1);
    assert!(flow.get(old.id()).await.is_err());
    for table in ["journal", "inbox", "instance"] {
        let sql: &'static str = match table {
            "journal" => {
                "SELECT count(*) FROM forktex_flow.journal WHERE instance_id NOT IN
                (SELECT instance_id FROM forktex_flow.instance)"
            }
            "inbox" => {
                "SELECT count(*) FROM forktex_flow.inbox WHERE instance_id NOT IN
                (SELECT instance_id FROM forktex_flow.instance)"
            }
            _ => "SELECT count(*) FROM forktex_flow.instance WHERE idempotency_key = 'k'",
        };
        assert_eq!(world.number(sql).await, 0, "{table}");
    }
    for kept in [failed.id(), pair.id(), parent.id(), young.id()] {
        assert!(flow.get(kept).await.is_ok());
    }
    // The child of a parent that lives is kept, and goes when that has ended.
    parent.send_named("end", json!({})).await.unwrap();
    ended(&parent).await;
    assert_eq!(flow.prune().await.unwrap(), 1);
    assert_eq!(flow.query().parent(parent.id()).count().await.unwrap(), 0);
    flow.close().await.unwrap();
}

#[tokio::test]
async fn the_leader_removes_without_being_asked() {
    let world = World::create().await;
    let flow = world.flow(cast()).await;
    flow.start_driver().await.unwrap();
    let run = flow.start(Solo, tale("old")).await.unwrap();
    ended(&run).await;
    flow.close().await.unwrap();
    age(&world).await;
    let builder = world.builder("worker", cast());
    let flow = builder
        .retention(Retention::new().completed(HOUR))
        .build()
        .await
        .unwrap();
    flow.start_driver().await.unwrap();
    until("it is removed", async || flow.get(run.id()).await.is_err()).await;
    flow.close().await.unwrap();
}
