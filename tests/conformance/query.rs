// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! Lists of runs: c48 to c50, nodes, and bulk.

use std::collections::HashSet;

use forktex::flow::prelude::*;
use forktex::flow::query::{Cursor, Direction, InstanceQuery, SortField};
use forktex::flow::{QueryError, StartError};

use crate::mail::{Closed, Listening};
use crate::stage::{Stage, on_both_stores};
use crate::tale::{Cast, Pair, Solo, Tale, line, tale};
use crate::world::{Gate, ended, until};

const SORTS: [SortField; 5] = [
    SortField::CreatedAt,
    SortField::StartedAt,
    SortField::FinishedAt,
    SortField::WorkflowName,
    SortField::Status,
];

const DIRECTIONS: [Direction; 2] = [Direction::Ascending, Direction::Descending];

/// Forty runs of two workflows in three namespaces, some completed, some failed, some pending.
async fn runs(world: &impl Stage) -> Flow {
    let cast = Cast::default().on("only", |ctx, tale| async move {
        if tale.total % 3 == 0 {
            return Err(StepError::fatal("a third fails"));
        }
        line(&ctx)
    });
    let flow = world.flow(cast).await;
    flow.start_driver().await.unwrap();
    for number in 0..30 {
        start(&flow, number).await.unwrap();
    }
    until("all have ended", async || world.living().await == 0).await;
    flow.stop_driver().await.unwrap();
    for number in 30..40 {
        start(&flow, number).await.unwrap();
    }
    flow
}

async fn start(flow: &Flow, number: i64) -> Result<(), StartError> {
    let state = Tale {
        total: number,
        ..tale(&format!("title {}", number % 4))
    };
    let namespace = ["", "org-a", "org-b"][usize::try_from(number % 3).unwrap()];
    let metadata = json!({"kind": if number % 2 == 0 { "even" } else { "odd" }, "number": number});
    if number % 5 == 0 {
        let start = flow.start(Pair, state).namespace(namespace);
        start.metadata(metadata).await.map(drop)
    } else {
        let start = flow.start(Solo, state).namespace(namespace);
        start.metadata(metadata).await.map(drop)
    }
}

async fn all(query: &InstanceQuery) -> Vec<InstanceId> {
    let mut found = Vec::new();
    let mut cursor: Option<Cursor> = None;
    loop {
        let page = query.fetch(cursor.as_ref()).await.unwrap();
        found.extend(page.items.iter().map(|run| run.instance_id));
        match page.next_cursor {
            Some(next) => cursor = Some(next),
            None => return found,
        }
    }
}

async fn c48_paging_by_every_sort_neither_skips_nor_repeats_while_runs_are_started(
    world: &impl Stage,
) {
    let flow = runs(world).await;
    for sort in SORTS {
        for direction in DIRECTIONS {
            let query = flow.query().sort(sort, direction).limit(7);
            let before = flow.query().limit(1_000).fetch(None).await.unwrap();
            let known: HashSet<InstanceId> =
                before.items.iter().map(|run| run.instance_id).collect();
            let mut seen = Vec::new();
            let mut cursor = None;
            loop {
                let page = query.fetch(cursor.as_ref()).await.unwrap();
                seen.extend(page.items.iter().map(|run| run.instance_id));
                start(&flow, 31).await.unwrap();
                match page.next_cursor {
                    Some(next) if seen.len() < 500 => cursor = Some(next),
                    _ => break,
                }
            }
            let unique: HashSet<InstanceId> = seen.iter().copied().collect();
            assert_eq!(unique.len(), seen.len(), "{sort:?} {direction:?} repeats");
            assert!(known.is_subset(&unique), "{sort:?} {direction:?} skips");
        }
    }
    flow.close().await.unwrap();
}

async fn c49_a_cursor_of_another_list_is_refused_and_a_full_last_page_has_none(world: &impl Stage) {
    let flow = runs(world).await;
    let query = flow.query().limit(20);
    let first = query.fetch(None).await.unwrap();
    assert_eq!((first.items.len(), first.total), (20, 40));
    assert!(first.total_is_exact);
    let cursor = first.next_cursor.unwrap();
    let last = query.fetch(Some(&cursor)).await.unwrap();
    assert_eq!(last.items.len(), 20);
    assert_eq!(last.next_cursor, None, "exactly full, and the last");

    let others = [
        flow.query().sort(SortField::Status, Direction::Descending),
        flow.query()
            .sort(SortField::CreatedAt, Direction::Ascending),
        flow.query().namespace("org-a"),
        flow.query().status([InstanceStatus::Failed]),
    ];
    for other in others {
        let refused = other.fetch(Some(&cursor)).await;
        assert!(matches!(refused, Err(QueryError::Cursor(_))), "{refused:?}");
    }
    for corrupt in ["", "AAAA", &cursor.as_str()[3..], "'; DROP TABLE"] {
        let refused = query.fetch(Some(&Cursor::from(corrupt))).await;
        assert!(matches!(refused, Err(QueryError::Cursor(_))), "{refused:?}");
    }
    let limit = flow.query().limit(0).fetch(None).await;
    assert!(matches!(limit, Err(QueryError::Limit { .. })));
    let metadata = flow.query().metadata(json!([1])).count().await;
    assert!(matches!(
        metadata,
        Err(QueryError::Filter {
            filter: "metadata",
            ..
        })
    ));
    let now = first.items[0].created_at;
    let times = flow.query().since(now).until(now).first().await;
    assert!(matches!(
        times,
        Err(QueryError::Filter {
            filter: "until",
            ..
        })
    ));
    flow.close().await.unwrap();
}

async fn c50_fetch_count_first_and_summary_agree_on_every_filter(world: &impl Stage) {
    let flow = runs(world).await;
    let all_runs = flow.query().limit(1_000).fetch(None).await.unwrap().items;
    let (oldest, newest) = (all_runs[39].created_at, all_runs[0].created_at);
    let middle = all_runs[20].created_at;
    let query = || flow.query().limit(7);
    let filters: [(&str, InstanceQuery, usize); 16] = [
        ("none", query(), 40),
        ("workflow", query().workflow("tale.pair"), 8),
        ("no workflow", query().workflow("tale.none"), 0),
        ("version", query().version(1), 40),
        ("no version", query().version(2), 0),
        ("platform", query().namespace(""), 14),
        ("namespace", query().namespace("org-a"), 13),
        ("pending", query().status([InstanceStatus::Pending]), 10),
        ("failed", query().status([InstanceStatus::Failed]), 8),
        (
            "failed or completed",
            query().status([InstanceStatus::Failed, InstanceStatus::Completed]),
            30,
        ),
        ("metadata", query().metadata(json!({"kind": "odd"})), 20),
        ("state", query().state(json!({"title": "title 1"})), 10),
        ("since", query().since(middle), 21),
        ("until", query().until(middle), 19),
        ("manual", query().triggered_by(["manual", "schedule"]), 40),
        (
            "together",
            query()
                .workflow("tale.solo")
                .namespace("org-b")
                .status([InstanceStatus::Completed])
                .metadata(json!({"kind": "even"}))
                .since(oldest)
                .until(newest),
            4,
        ),
    ];
    for (name, query, count) in filters {
        let found = all(&query).await;
        assert_eq!(found.len(), count, "{name}");
        assert_eq!(query.count().await.unwrap(), count as u64, "{name}");
        let first = query.first().await.unwrap().map(|run| run.instance_id);
        assert_eq!(first, found.first().copied(), "{name}");
        assert_eq!(
            query.fetch(None).await.unwrap().total,
            count as u64,
            "{name}"
        );
        let summary = query.summary().await.unwrap();
        assert_eq!(summary.total, count as u64, "{name}");
        assert_eq!(
            summary.by_status.values().sum::<u64>(),
            count as u64,
            "{name}"
        );
        assert_eq!(summary.oldest.is_some(), count > 0, "{name}");
        let has_timed = summary.by_status.keys().any(|status| status.is_terminal());
        assert_eq!(summary.avg_duration.is_some(), has_timed, "{name}");
        assert!(
            summary.p95_duration >= summary.avg_duration.map(|mean| mean / 20),
            "{name}"
        );
    }
    // Whole runs, states and all.
    let run = &all_runs[39];
    assert_eq!(*run, flow.get(run.instance_id).await.unwrap());
    flow.close().await.unwrap();
}

async fn runs_are_found_by_the_nodes_that_they_are_at(world: &impl Stage) {
    let gate = Gate::new();
    let held = gate.clone();
    let cast = Cast::default().on("second", move |ctx, _| {
        let gate = held.clone();
        async move {
            gate.pass().await;
            line(&ctx)
        }
    });
    let builder = world.builder("worker", cast).register::<Listening>();
    let flow = builder.build().await;
    flow.start_driver().await.unwrap();
    let running = flow.start(Pair, tale("running")).await.unwrap();
    let waiting = flow.start(Listening, tale("waiting")).await.unwrap();
    gate.until_arrived(1).await;
    crate::signal::until_waiting(&waiting).await;
    let at = async |nodes: &[&str]| all(&flow.query().current_node(nodes.iter().copied())).await;
    assert_eq!(at(&["second"]).await, [running.id()]);
    assert_eq!(at(&["listen"]).await, [waiting.id()]);
    assert_eq!(at(&["listen", "second"]).await.len(), 2);
    assert!(at(&["first", "judge", "close"]).await.is_empty());
    gate.open();
    waiting.send(Closed {}).await.unwrap();
    ended(&running).await;
    ended(&waiting).await;
    assert!(at(&["listen", "second"]).await.is_empty());
    flow.close().await.unwrap();
}

async fn many_runs_are_cancelled_or_retried_at_a_rate(world: &impl Stage) {
    let flow = runs(world).await;
    let failed = flow.query().status([InstanceStatus::Failed]);
    let began_at = std::time::Instant::now();
    let retried = failed.retry().rate(50).await.unwrap();
    assert_eq!((retried.done, retried.started.len()), (8, 8));
    // The first at once, and the others 20 ms apart.
    assert!(began_at.elapsed() >= std::time::Duration::from_millis(140));
    let again = failed.retry().await.unwrap();
    assert_eq!(again.done, 0, "each has its retry");
    let of_one = flow.query().retry_of(
        flow.get(retried.started[0])
            .await
            .unwrap()
            .retry_of
            .unwrap(),
    );
    assert_eq!(all(&of_one).await, [retried.started[0]]);

    let pending = flow.query().namespace("org-a");
    let cancelled = pending.cancel("no more").rate(1_000).await.unwrap();
    // Those of the ten that were started last, and of the retries.
    assert!(cancelled.done >= 3, "{cancelled:?}");
    let left = pending
        .status([InstanceStatus::Pending])
        .count()
        .await
        .unwrap();
    assert_eq!(left, 0);
    let rate = flow.query().cancel("x").rate(0).await;
    assert!(matches!(rate, Err(QueryError::Limit { .. })));
    let elsewhere = flow
        .query()
        .namespace("org-b")
        .status([InstanceStatus::Pending]);
    assert!(
        elsewhere.count().await.unwrap() > 0,
        "others are left alone"
    );
    flow.close().await.unwrap();
}

/// Runs that are started while others are acted on, by the action itself too, are not a part of it.
async fn a_bulk_retry_does_not_retry_its_own_retries(world: &impl Stage) {
    let cast = Cast::default().on("only", |_, _| async { Err(StepError::fatal("always")) });
    let flow = world.flow(cast).await;
    flow.start_driver().await.unwrap();
    for number in 0..5 {
        let run = flow.start(Solo, tale(&number.to_string())).await.unwrap();
        ended(&run).await;
    }
    let failed = flow.query().status([InstanceStatus::Failed]);
    let retried = failed.retry().rate(20).await.unwrap();
    assert_eq!((retried.done, retried.started.len()), (5, 5));
    until("the retries have failed too", async || {
        failed.count().await.unwrap() == 10
    })
    .await;
    let newest: Vec<InstanceId> = failed.clone().limit(5).ids().await.unwrap();
    let started: HashSet<InstanceId> = retried.started.into_iter().collect();
    assert_eq!(newest.into_iter().collect::<HashSet<_>>(), started);
    flow.close().await.unwrap();
}

on_both_stores! {
    c48_paging_by_every_sort_neither_skips_nor_repeats_while_runs_are_started,
    c49_a_cursor_of_another_list_is_refused_and_a_full_last_page_has_none,
    c50_fetch_count_first_and_summary_agree_on_every_filter,
    runs_are_found_by_the_nodes_that_they_are_at,
    many_runs_are_cancelled_or_retried_at_a_rate,
    a_bulk_retry_does_not_retry_its_own_retries,
}
