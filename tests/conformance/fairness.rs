// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! Who is served first: namespaces in turn, a namespace's own runs by priority, and no more at once than
//! the limits allow.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use forktex::db::sqlx;
use forktex::flow::WaitingOn;
use forktex::flow::prelude::*;

use crate::child::{self, Conduct};
use crate::stage::{Stage, on_both_stores};
use crate::tale::{Cast, Pair, Solo, Tale, TaleUpdate, fail_up_to, line, tale};
use crate::world::{Gate, World, ended, until};

/// How long the body of a run takes whose overlaps are looked at.
const BODY: Duration = Duration::from_millis(20);

/// What bodies tell: who began, in order, and how many of each kind were under way at once.
#[derive(Clone, Default)]
struct Witness(Arc<Mutex<Seen>>);

#[derive(Default)]
struct Seen {
    order: Vec<String>,
    under_way: HashMap<String, usize>,
    most: HashMap<String, usize>,
}

impl Witness {
    fn with<T>(&self, look: impl FnOnce(&mut Seen) -> T) -> T {
        look(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn begin(&self, kinds: &[String]) {
        self.with(|seen| {
            seen.order.push(kinds[0].clone());
            for kind in kinds {
                let now = seen.under_way.entry(kind.clone()).or_default();
                *now += 1;
                let now = *now;
                let most = seen.most.entry(kind.clone()).or_default();
                *most = now.max(*most);
            }
        });
    }

    fn end(&self, kinds: &[String]) {
        self.with(|seen| {
            for kind in kinds {
                *seen.under_way.entry(kind.clone()).or_default() -= 1;
            }
        });
    }

    fn most(&self, kind: &str) -> usize {
        self.with(|seen| seen.most.get(kind).copied().unwrap_or_default())
    }

    fn order(&self) -> Vec<String> {
        self.with(|seen| seen.order.clone())
    }

    /// A body that is seen under its namespace, its workflow and both.
    async fn see(&self, ctx: &Ctx) -> StepResult<TaleUpdate> {
        let (namespace, workflow) = (ctx.namespace().to_string(), ctx.workflow_name().to_string());
        let both = format!("{namespace}/{workflow}");
        let kinds = [namespace, workflow, both];
        self.begin(&kinds);
        tokio::time::sleep(BODY).await;
        self.end(&kinds);
        line(ctx)
    }

    /// A cast whose bodies are all seen.
    fn cast(&self) -> Cast {
        let mut cast = Cast::default();
        for node in ["only", "first", "second"] {
            let witness = self.clone();
            cast = cast.on(node, move |ctx, _| {
                let witness = witness.clone();
                async move { witness.see(&ctx).await }
            });
        }
        cast
    }
}

/// Lays ready runs of `tale.solo` into the tables, as starts would have.
async fn lay(world: &World, namespace: &str, count: i64) {
    sqlx::query(
        "WITH kind AS (
             SELECT definition_id FROM forktex_flow.definition WHERE workflow_name = 'tale.solo'
         ), run AS (
             INSERT INTO forktex_flow.instance (
                 instance_id, definition_id, namespace, workflow_name, workflow_version, status,
                 triggered_by, input, metadata
             )
             SELECT gen_random_uuid(), kind.definition_id, $1, 'tale.solo', 1, 'pending', 'manual',
                    '{\"title\": \"laid\", \"subject\": null, \"lines\": [], \"total\": 0}', '{}'
             FROM kind CROSS JOIN generate_series(1, $2)
             RETURNING instance_id, definition_id
         )
         INSERT INTO forktex_flow.active (instance_id, definition_id, namespace, ready_at)
         SELECT instance_id, definition_id, $1, now() FROM run",
    )
    .bind(namespace)
    .bind(count)
    .execute(&world.pool)
    .await
    .unwrap();
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort();
    times[times.len() / 2]
}

/// How long a run of a namespace takes from start to end.
async fn time(flow: &Flow, namespace: &str) -> Duration {
    let began = Instant::now();
    let run = flow.start(Solo, tale("single")).namespace(namespace);
    ended(&run.await.unwrap()).await;
    began.elapsed()
}

#[tokio::test]
async fn a_hundred_thousand_runs_of_a_namespace_do_not_hold_up_a_single_one_of_another() {
    const BODY: Duration = Duration::from_millis(100);
    const COUNT: usize = 9;
    let cast = Cast::default().on("only", |ctx, _| async move {
        tokio::time::sleep(BODY).await;
        line(&ctx)
    });
    let (quiet, busy) = (World::create().await, World::create().await);
    let (mut workers, mut flows) = (Vec::new(), Vec::new());
    for world in [&quiet, &busy] {
        let worker = world.builder("worker", cast.clone()).slots(16);
        let worker = worker.build().await.unwrap();
        worker.start_driver().await.unwrap();
        workers.push(worker);
        // Its runs are claimed by the worker, as it has none of its own.
        flows.push(world.flow(Cast::default()).await);
    }
    time(&flows[0], "small").await;
    time(&flows[1], "small").await;
    lay(&busy, "large", 100_000).await;
    let held = "SELECT count(*) FROM forktex_flow.active WHERE worker_id IS NOT NULL";
    until("the large one has all slots", async || {
        busy.number(held).await == 16
    })
    .await;
    // In turn, so that whatever else this machine does slows down both.
    let (mut alone, mut beside) = (Vec::new(), Vec::new());
    for _ in 0..COUNT {
        alone.push(time(&flows[0], "small").await);
        beside.push(time(&flows[1], "small").await);
    }
    let (alone, beside) = (median(alone), median(beside));
    println!("alone {alone:?}, beside 100,000 runs {beside:?}");
    let left = "SELECT count(*) FROM forktex_flow.active WHERE namespace = 'large'";
    assert!(busy.number(left).await > 90_000, "nothing was beside it");
    assert!(beside <= alone * 2, "alone {alone:?}, beside {beside:?}");
    for flow in flows.into_iter().chain(workers) {
        flow.close().await.unwrap();
    }
}

async fn start_in(flow: &Flow, namespace: &str, priority: i16) -> Run<Tale> {
    let start = flow.start(Solo, tale(&priority.to_string()));
    start.namespace(namespace).priority(priority).await.unwrap()
}

async fn a_hundred_namespaces_go_on_evenly(world: &impl Stage) {
    const EACH: usize = 10;
    let witness = Witness::default();
    let starter = world.flow(Cast::default()).await;
    let mut runs = Vec::new();
    // One after the other, so that the oldest runs are all of one.
    for number in 0..100 {
        let namespace = format!("org-{number}");
        for _ in 0..EACH {
            runs.push(start_in(&starter, &namespace, 0).await);
        }
    }
    let worker = world.builder("worker", witness.cast()).slots(32);
    let worker = worker.build().await;
    worker.start_driver().await.unwrap();
    for run in &runs {
        ended(run).await;
    }
    let order = witness.order();
    let mut served: HashMap<&String, usize> = HashMap::new();
    for namespace in &order[..order.len() / 2] {
        *served.entry(namespace).or_default() += 1;
    }
    let (least, most) = (served.values().min(), served.values().max());
    let (least, most) = (*least.unwrap(), *most.unwrap());
    println!("when half was done: from {least} to {most} of {EACH} runs of a namespace");
    assert_eq!(served.len(), 100, "some were not served at all");
    assert!(most <= least + 2, "from {least} to {most}");
    worker.close().await.unwrap();
    starter.close().await.unwrap();
}

async fn a_priority_orders_the_runs_of_its_namespace_and_of_no_other(world: &impl Stage) {
    let order = Arc::new(Mutex::new(Vec::new()));
    let told = Arc::clone(&order);
    let cast = Cast::default().on("only", move |ctx, tale| {
        let told = Arc::clone(&told);
        async move {
            let row = (ctx.namespace().to_string(), tale.title);
            told.lock()
                .unwrap_or_else(PoisonError::into_inner)
                .push(row);
            line(&ctx)
        }
    });
    let starter = world.flow(Cast::default()).await;
    let mut runs = Vec::new();
    for priority in [1, 7, 3, 9, 5] {
        runs.push(start_in(&starter, "org-a", priority).await);
    }
    for priority in [-2, -1, -3] {
        runs.push(start_in(&starter, "org-b", priority).await);
    }
    let worker = world.builder("worker", cast).slots(1).build().await;
    worker.start_driver().await.unwrap();
    for run in &runs {
        ended(run).await;
    }
    let order = order.lock().unwrap_or_else(PoisonError::into_inner).clone();
    let of = |wanted: &str| -> Vec<String> {
        let rows = order.iter().filter(|(namespace, _)| namespace == wanted);
        rows.map(|(_, title)| title.clone()).collect()
    };
    assert_eq!(of("org-a"), ["9", "7", "5", "3", "1"], "{order:?}");
    assert_eq!(of("org-b"), ["-1", "-2", "-3"], "{order:?}");
    let last_of_b = order
        .iter()
        .rposition(|(namespace, _)| namespace == "org-b");
    assert!(last_of_b.unwrap() <= 5, "they do not take turns: {order:?}");
    worker.close().await.unwrap();
    starter.close().await.unwrap();
}

async fn limits_are_used_and_never_passed_however_many_claim_at_once(world: &impl Stage) {
    let witness = Witness::default();
    let starter = world.flow(Cast::default()).await;
    starter
        .running_limit()
        .namespace("org-a")
        .set(5)
        .await
        .unwrap();
    starter
        .running_limit()
        .workflow("tale.pair")
        .set(4)
        .await
        .unwrap();
    let both = starter.running_limit().namespace("org-b");
    both.workflow("tale.solo").set(3).await.unwrap();
    // The same again changes nothing.
    starter
        .running_limit()
        .namespace("org-a")
        .set(5)
        .await
        .unwrap();
    let (mut solos, mut pairs) = (Vec::new(), Vec::new());
    let mut start = async |flow: &Flow, number: usize| {
        let namespace = ["org-a", "org-b", "org-c"][number % 3];
        let solo = flow.start(Solo, tale("s")).namespace(namespace);
        solos.push(solo.await.unwrap());
        if number.is_multiple_of(4) {
            let pair = flow.start(Pair, tale("p")).namespace(namespace);
            pairs.push(pair.await.unwrap());
        }
    };
    for number in 0..120 {
        start(&starter, number).await;
    }
    let mut workers = Vec::new();
    for number in 0..4 {
        let name = format!("worker-{number}");
        let worker = world.builder(&name, witness.cast()).slots(16).build().await;
        worker.start_driver().await.unwrap();
        workers.push(worker);
    }
    // Through flows with workers too, whose starts would be born claimed.
    for number in 0..60 {
        start(&workers[number % 4], number).await;
    }
    for run in solos.iter().chain(&pairs) {
        assert_eq!(ended(run).await.status, InstanceStatus::Completed);
    }
    let most = |kind: &str| witness.most(kind);
    println!(
        "at once: {} of 5 in org-a, {} of 4 of tale.pair, {} of 3 of tale.solo in org-b, {} in org-c",
        most("org-a"),
        most("tale.pair"),
        most("org-b/tale.solo"),
        most("org-c")
    );
    assert_eq!(most("org-a"), 5);
    assert_eq!(most("tale.pair"), 4);
    assert_eq!(most("org-b/tale.solo"), 3);
    assert!(most("org-c") > 5, "what no limit concerns is not held up");
    let limits = starter.running_limits().await.unwrap();
    let listed: Vec<_> = limits
        .iter()
        .map(|limit| (limit.max_running, limit.running))
        .collect();
    assert_eq!(listed, [(4, 0), (5, 0), (3, 0)], "{limits:?}");
    for worker in workers {
        worker.close().await.unwrap();
    }
    starter.close().await.unwrap();
}

#[tokio::test]
async fn four_processes_use_a_limit_and_do_not_pass_it() {
    let world = World::create().await;
    let flow = world.flow(Cast::default()).await;
    let limit = flow
        .running_limit()
        .namespace("org-a")
        .workflow("tale.solo");
    limit.set(5).await.unwrap();
    let mut runs = Vec::new();
    for _ in 0..200 {
        runs.push(start_in(&flow, "org-a", 0).await);
    }
    let workers: Vec<_> = (0..4)
        .map(|_| child::spawn(&world, Conduct::NoteEnds))
        .collect();
    for run in &runs {
        assert_eq!(ended(run).await.status, InstanceStatus::Completed);
    }
    let claimers = "SELECT count(*) FROM forktex_flow.worker";
    assert_eq!(world.number(claimers).await, 4);
    let most = "SELECT max(under_way) FROM (
                    SELECT sum(CASE node WHEN 'only' THEN 1 ELSE -1 END)
                               OVER (ORDER BY number) AS under_way
                    FROM public.ledger) AS ledger";
    let most = world.number(most).await;
    println!("four processes: {most} of 5 at once");
    assert_eq!(most, 5);
    for worker in workers {
        child::kill(worker).await;
    }
    flow.close().await.unwrap();
}

#[tokio::test]
async fn the_places_of_a_killed_worker_come_back_when_its_lease_is_over_and_not_before() {
    let world = World::create().await;
    let flow = world.flow(Cast::default()).await;
    flow.running_limit()
        .workflow("tale.pair")
        .set(2)
        .await
        .unwrap();
    let killed = child::spawn(&world, Conduct::HangAt("first"));
    let mut runs = Vec::new();
    for _ in 0..4 {
        runs.push(
            flow.start(Pair, tale("pair"))
                .namespace("org-a")
                .await
                .unwrap(),
        );
    }
    let began = "SELECT count(*) FROM public.ledger WHERE node = 'first'";
    until("it holds two", async || world.number(began).await == 2).await;
    flow.start_driver().await.unwrap();
    // The other worker claims all the time, but none of these.
    let since = Instant::now();
    while since.elapsed() < child::LEASE * 2 {
        ended(&flow.start(Solo, tale("other")).await.unwrap()).await;
        assert_eq!(world.number(began).await, 2, "the limit is passed");
    }
    child::kill(killed).await;
    for run in &runs {
        assert_eq!(ended(run).await.status, InstanceStatus::Completed);
    }
    let early = "SELECT count(*) FROM public.ledger CROSS JOIN forktex_flow.worker
                 WHERE ledger.node = 'first' AND ledger.worker <> 'child'
                   AND worker.retired_at IS NOT NULL AND ledger.at < worker.lease_until";
    assert_eq!(
        world.number(early).await,
        0,
        "a place came back before its lease was over"
    );
    let retired = "SELECT count(*) FROM forktex_flow.worker WHERE retired_at IS NOT NULL";
    assert_eq!(world.number(retired).await, 1);
    flow.close().await.unwrap();
}

async fn a_limit_is_raised_removed_and_lowered_while_runs_are_held(world: &impl Stage) {
    let gate = Gate::new();
    let held = gate.clone();
    let cast = Cast::default().on("first", move |ctx, _| {
        let gate = held.clone();
        async move {
            gate.pass().await;
            line(&ctx)
        }
    });
    let starter = world.flow(Cast::default()).await;
    let limit = || starter.running_limit().workflow("tale.pair");
    limit().set(2).await.unwrap();
    let worker = world.builder("worker", cast).slots(16).build().await;
    worker.start_driver().await.unwrap();
    let mut runs = Vec::new();
    for _ in 0..6 {
        runs.push(
            starter
                .start(Pair, tale("held"))
                .namespace("org-a")
                .await
                .unwrap(),
        );
    }
    let running = async || starter.running_limits().await.unwrap()[0].running;
    gate.until_arrived(2).await;
    assert_eq!(running().await, 2);
    limit().set(4).await.unwrap();
    gate.until_arrived(4).await;
    assert_eq!(running().await, 4);
    limit().remove().await.unwrap();
    gate.until_arrived(6).await;
    assert!(starter.running_limits().await.unwrap().is_empty());

    // Those that are held go on, but no other is claimed until there is a place.
    limit().set(0).await.unwrap();
    let late = starter
        .start(Pair, tale("late"))
        .namespace("org-a")
        .await
        .unwrap();
    for _ in 0..5 {
        ended(&starter.start(Solo, tale("other")).await.unwrap()).await;
    }
    let waiting = late.refresh().await.unwrap();
    assert_eq!(waiting.waiting_on, Some(WaitingOn::Worker));
    assert_eq!(running().await, 6);
    gate.open();
    for run in &runs {
        ended(run).await;
    }
    until("nothing is held", async || running().await == 0).await;
    assert_eq!(
        late.refresh().await.unwrap().status,
        InstanceStatus::Pending
    );
    limit().set(1).await.unwrap();
    ended(&late).await;
    worker.close().await.unwrap();
    starter.close().await.unwrap();
}

async fn a_run_that_waits_takes_no_place(world: &impl Stage) {
    let cast = Cast::default().on("only", |ctx, tale| async move {
        if tale.title == "sleeper" {
            ctx.sleep(Duration::from_hours(1)).await?;
        }
        fail_up_to(u32::from(tale.title == "retry"), ctx).await
    });
    let worker = world.builder("worker", cast).build().await;
    let limit = worker.running_limit().namespace("org-a");
    limit.set(1).await.unwrap();
    worker.start_driver().await.unwrap();
    let start = async |title: &str| {
        let start = worker.start(Solo, tale(title)).namespace("org-a");
        start.await.unwrap()
    };
    let mut sleepers = Vec::new();
    for _ in 0..3 {
        sleepers.push(start("sleeper").await);
    }
    for sleeper in &sleepers {
        until("it sleeps", async || {
            let waiting_on = sleeper.refresh().await.unwrap().waiting_on;
            matches!(waiting_on, Some(WaitingOn::Timer { .. }))
        })
        .await;
    }
    // The others go through the one place, a retried one too.
    for title in ["other", "retry", "other"] {
        let done = ended(&start(title).await).await;
        assert_eq!(done.status, InstanceStatus::Completed);
    }
    world.pass(2).await;
    for sleeper in &sleepers {
        assert_eq!(ended(sleeper).await.status, InstanceStatus::Completed);
    }
    worker.close().await.unwrap();
}

async fn children_keep_to_a_limit_and_their_parents_give_up_their_place_meanwhile(
    world: &impl Stage,
) {
    let witness = Witness::default();
    let cast = witness.cast().on("first", |ctx, _| async move {
        let children = ctx.map(Solo, vec![tale("child"); 8]).await?;
        Ok(Tale::update().total(i64::try_from(children.len()).unwrap()))
    });
    let (a, b) = (
        world.builder("a", cast.clone()).build().await,
        world.builder("b", cast).build().await,
    );
    a.running_limit()
        .workflow("tale.solo")
        .set(2)
        .await
        .unwrap();
    // With its parent holding a place, none of the children would have one.
    a.running_limit().namespace("org-a").set(2).await.unwrap();
    a.start_driver().await.unwrap();
    b.start_driver().await.unwrap();
    let mut parents = Vec::new();
    for _ in 0..3 {
        parents.push(
            a.start(Pair, tale("parent"))
                .namespace("org-a")
                .await
                .unwrap(),
        );
    }
    for parent in &parents {
        let done = ended(parent).await;
        assert_eq!(
            (done.status, done.state.total),
            (InstanceStatus::Completed, 8)
        );
    }
    assert_eq!(witness.most("tale.solo"), 2);
    assert!(witness.most("org-a") <= 2);
    a.close().await.unwrap();
    b.close().await.unwrap();
}

on_both_stores! {
    a_hundred_namespaces_go_on_evenly,
    a_priority_orders_the_runs_of_its_namespace_and_of_no_other,
    limits_are_used_and_never_passed_however_many_claim_at_once,
    a_limit_is_raised_removed_and_lowered_while_runs_are_held,
    a_run_that_waits_takes_no_place,
    children_keep_to_a_limit_and_their_parents_give_up_their_place_meanwhile,
}
