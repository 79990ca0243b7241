// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! A leader that goes without a word (c40): its process is killed, or frozen.

use std::time::{Duration, Instant};

use forktex::flow::prelude::*;
use forktex::flow::{DriverHandle, Election, Role};
use tokio::process::Child;

use crate::child::{self, Conduct};
use crate::driver::leading_worker;
use crate::tale::Cast;
use crate::world::{LIMIT, World, until};

/// The time within which another leads.
const TAKEN_OVER_WITHIN: Duration = Duration::from_secs(3);

/// How often a leader is lost in a test: the moment of the loss lies anywhere between two heartbeats.
const LOSSES: u32 = 4;

/// A child that leads, and a driver here that would.
async fn led_by_a_child(world: &World, election: Election) -> (Child, Flow, DriverHandle) {
    let leader = child::spawn(world, Conduct::Lead(election));
    until("the child leads", async || {
        leading_worker(world).await.as_deref() == Some("child")
    })
    .await;
    let flow = world
        .builder("follower", Cast::default())
        .election(election);
    let flow = flow.build().await.unwrap();
    let follower = flow.start_driver().await.unwrap();
    // It has seen the leader by its first heartbeats.
    tokio::time::sleep(Duration::from_millis(
        1_500 + u64::from(fastrand::u16(0..1_000)),
    ))
    .await;
    assert!(!follower.is_leader());
    (leader, flow, follower)
}

async fn until_taken_over(lost_at: Instant, follower: &mut DriverHandle) -> Duration {
    let elected = tokio::time::timeout(LIMIT, follower.until_leader(Role::Leader)).await;
    elected.expect("nobody took over");
    lost_at.elapsed()
}

fn report(what: &str, election: Election, took: &[Duration]) {
    println!("c40: {what}, {election:?}: another leads after {took:.2?}");
    let longest = took.iter().max().unwrap();
    assert!(*longest < TAKEN_OVER_WITHIN, "{what}: {longest:?}");
}

#[tokio::test]
async fn c40_a_killed_leader_is_replaced_within_three_seconds() {
    for election in [Election::Advisory, Election::RowLease] {
        let world = World::create().await;
        let mut took = Vec::new();
        for _ in 0..LOSSES {
            let (leader, flow, mut follower) = led_by_a_child(&world, election).await;
            let lost_at = Instant::now();
            child::kill(leader).await;
            took.push(until_taken_over(lost_at, &mut follower).await);
            assert_eq!(leading_worker(&world).await.as_deref(), Some("follower"));
            flow.close().await.unwrap();
        }
        report("killed", election, &took);
    }
}

/// A frozen process keeps its connections, and with them its lock; when it thaws it follows.
#[tokio::test]
async fn c40_a_frozen_leader_is_replaced_within_three_seconds_and_follows_when_it_thaws() {
    for election in [Election::Advisory, Election::RowLease] {
        let world = World::create().await;
        let mut took = Vec::new();
        for _ in 0..LOSSES {
            let (leader, flow, mut follower) = led_by_a_child(&world, election).await;
            let lost_at = Instant::now();
            child::signal(&leader, "-STOP").await;
            took.push(until_taken_over(lost_at, &mut follower).await);
            child::signal(&leader, "-CONT").await;
            // Once it is heard of again it has had time to claim what was its own.
            let living = "SELECT count(*) FROM forktex_flow.worker
                          WHERE worker_name = 'child' AND retired_at IS NULL
                            AND lease_until > now() + interval '500 milliseconds'";
            until("it has thawed", async || world.number(living).await == 1).await;
            tokio::time::sleep(Duration::from_secs(1)).await;
            assert!(follower.is_leader());
            assert_eq!(leading_worker(&world).await.as_deref(), Some("follower"));
            child::kill(leader).await;
            flow.close().await.unwrap();
        }
        report("frozen", election, &took);
    }
}
