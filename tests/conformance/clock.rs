// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! A process whose clock is an hour off, either way: every deadline is the database's (c10). Schedules
//! are held in `schedule`.

use std::time::Duration;

use forktex::db::sqlx;
use forktex::flow::prelude::*;
use time::OffsetDateTime;

use crate::child::{self, Conduct};
use crate::mail::Onboarding;
use crate::tale::{Cast, Patient, Solo, fail_up_to, line, tale};
use crate::world::{ATTEMPT_FAILED, World, ended, nodes, until};

/// By how many hours the database is ahead of the process.
const SHIFTS: [i32; 2] = [1, -1];

async fn shifted(hours: i32) -> World {
    let world = World::create().await;
    world.shift_clock(hours).await;
    world
}

/// How long after each other the bodies of a node began, by one clock.
async fn pauses(world: &World, run: InstanceId, node: &str) -> Vec<Duration> {
    let at: Vec<OffsetDateTime> = sqlx::query_scalar(
        "SELECT at FROM public.ledger WHERE instance = $1 AND node = $2 ORDER BY number",
    )
    .bind(run.to_string())
    .bind(node)
    .fetch_all(&world.pool)
    .await
    .unwrap();
    let pairs = at.windows(2);
    pairs
        .map(|pair| (pair[1] - pair[0]).unsigned_abs())
        .collect()
}

/// That the database tells the time which it was shifted to.
async fn is_shifted(run: &Run<crate::tale::Tale>, hours: i32) {
    let created_at = run.refresh().await.unwrap().created_at;
    let ahead = created_at - OffsetDateTime::now_utc();
    assert_eq!(
        (ahead + time::Duration::minutes(30 * i64::from(hours))).whole_hours(),
        i64::from(hours)
    );
}

#[tokio::test]
async fn c10_a_retry_comes_after_its_delay_by_the_databases_clock() {
    for hours in SHIFTS {
        let world = shifted(hours).await;
        let cast = Cast::default().on("only", |ctx, _| fail_up_to(2, ctx));
        let flow = world.flow(cast).await;
        flow.start_driver().await.unwrap();
        // Its delays are 100 ms and 300 ms, give or take a fifth.
        let run = flow.start(Patient, tale("c10")).await.unwrap();
        is_shifted(&run, hours).await;
        assert_eq!(ended(&run).await.status, InstanceStatus::Completed);
        let pauses = pauses(&world, run.id(), "only").await;
        println!("c10: {hours:+} h: retries began after {pauses:.2?}");
        for (pause, least_ms) in pauses.iter().zip([80, 240]) {
            let range = Duration::from_millis(least_ms)..Duration::from_secs(5);
            assert!(range.contains(pause), "{pauses:?}");
        }
        flow.close().await.unwrap();
    }
}

#[tokio::test]
async fn c10_a_timer_and_a_sleep_end_by_the_databases_clock() {
    for hours in SHIFTS {
        let world = shifted(hours).await;
        let cast = Cast::default().on("only", |ctx, _| async move {
            ctx.sleep(Duration::from_millis(500)).await?;
            line(&ctx)
        });
        let flow = world.builder("worker", cast).register::<Onboarding>();
        let flow = flow.build().await.unwrap();
        flow.start_driver().await.unwrap();
        let sleeping = flow.start(Solo, tale("sleeps")).await.unwrap();
        // Half a second behind `open` leads to `expired`.
        let waiting = flow.start(Onboarding, tale("waits")).await.unwrap();
        is_shifted(&waiting, hours).await;
        for (run, last) in [(&sleeping, "only"), (&waiting, "expired")] {
            let done = ended(run).await;
            assert_eq!(done.status, InstanceStatus::Completed);
            let last = done.node(last).unwrap().recorded_at;
            let took = last - done.started_at.unwrap();
            println!(
                "c10: {hours:+} h: {} ms until {}",
                took.whole_milliseconds(),
                done.state.title
            );
            assert!((0.5..5.0).contains(&took.as_seconds_f64()), "{took}");
        }
        flow.close().await.unwrap();
    }
}

/// A lease of a second, a body of three: nobody takes the run from a worker that lives. A killed worker's
/// run is taken once its lease is over, and not an hour later.
#[tokio::test]
async fn c10_a_lease_is_held_and_lost_by_the_databases_clock() {
    for hours in SHIFTS {
        let world = shifted(hours).await;
        let cast = Cast::default().on("only", |ctx, _| async move {
            tokio::time::sleep(Duration::from_secs(3)).await;
            line(&ctx)
        });
        let owner = world.builder("owner", cast).lease(child::LEASE);
        let owner = owner.build().await.unwrap();
        owner.start_driver().await.unwrap();
        let run = owner.start(Solo, tale("long")).await.unwrap();
        world.until_noted(run.id(), "only", "owner").await;
        is_shifted(&run, hours).await;
        let other = world.builder("other", Cast::default()).lease(child::LEASE);
        let other = other.build().await.unwrap();
        other.start_driver().await.unwrap();
        let done = ended(&run).await;
        assert_eq!(done.node("only").unwrap().attempt, 1);
        assert_eq!(
            nodes(&world.noted(run.id()).await),
            ["only"],
            "nobody took it"
        );
        owner.close().await.unwrap();
        other.close().await.unwrap();

        let process = child::spawn(&world, Conduct::HangAt("first"));
        let starter = world.builder("taker", Cast::default()).lease(child::LEASE);
        let taker = starter.build().await.unwrap();
        let run = taker
            .start(crate::tale::Pair, tale("killed"))
            .await
            .unwrap();
        world.until_noted(run.id(), "first", "child").await;
        taker.start_driver().await.unwrap();
        // It learns that the child is there, and then that it is not.
        let alive = "SELECT count(*) FROM forktex_flow.worker WHERE worker_name = 'child'";
        until("the child is registered", async || {
            world.number(alive).await == 1
        })
        .await;
        child::kill(process).await;
        let done = ended(&run).await;
        assert_eq!(done.status, InstanceStatus::Completed);
        let pause = pauses(&world, run.id(), "first").await[0];
        println!("c10: {hours:+} h: the run of a killed worker began again after {pause:.2?}");
        assert!(pause < Duration::from_secs(10), "{pause:?}");
        assert_eq!(world.count(run.id(), ATTEMPT_FAILED).await, 0);
        taker.close().await.unwrap();
    }
}
