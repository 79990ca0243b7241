// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! What an operator sees of a process: its metrics and its spans. In a process of its own, as both are
//! the whole process's.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use forktex::db::{Db, DbOptions};
use forktex::flow::prelude::*;
use forktex_testkit::TestDatabase;
use metrics_util::debugging::{DebugValue, DebuggingRecorder, Snapshotter};
use serde::{Deserialize, Serialize};
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt};

#[derive(State, Clone, Debug, Serialize, Deserialize)]
struct Tale {
    title: String,
}

fn tale(title: &str) -> Tale {
    Tale {
        title: title.to_owned(),
    }
}

#[step(backoff = ["1s"])]
async fn first(ctx: &Ctx, tale: &Tale) -> StepResult<TaleUpdate> {
    match tale.title.as_str() {
        "password1" => return Err(StepError::fatal("password1 is wrong")),
        "child" => return Ok(Tale::update()),
        _ => {}
    }
    let child = ctx.spawn(Pair, self::tale("child")).await?;
    ctx.wait(child).await?;
    if ctx.attempt() == 1 {
        return Err(StepError::new("the first attempt fails"));
    }
    Ok(Tale::update())
}

#[step]
async fn second(_ctx: &Ctx, _tale: &Tale) -> StepResult<TaleUpdate> {
    Ok(Tale::update())
}

#[pipeline(name = "tale.pair", version = 1, state = Tale, steps = [first, second])]
struct Pair;

type Fields = BTreeMap<String, String>;

/// Keeps the fields of the spans of steps.
#[derive(Clone, Default)]
struct Spans(Arc<Mutex<BTreeMap<u64, Fields>>>);

struct Noting<'a>(&'a mut Fields);

impl Visit for Noting<'_> {
    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        let text = format!("{value:?}").trim_matches('"').to_owned();
        self.0.insert(field.name().to_owned(), text);
    }
}

impl<S: tracing::Subscriber> Layer<S> for Spans {
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, _: Context<'_, S>) {
        if attributes.metadata().name() == "step" {
            let mut fields = Fields::new();
            attributes.record(&mut Noting(&mut fields));
            self.0.lock().unwrap().insert(id.into_u64(), fields);
        }
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, _: Context<'_, S>) {
        if let Some(fields) = self.0.lock().unwrap().get_mut(&id.into_u64()) {
            values.record(&mut Noting(fields));
        }
    }
}

/// The counters by their names and labels, and how many values each histogram got.
fn measured(snapshotter: &Snapshotter) -> BTreeMap<String, u64> {
    let taken = snapshotter.snapshot().into_vec().into_iter();
    let measured = taken.map(|(key, _, _, value)| {
        let labels = key.key().labels();
        let labels: Vec<String> = labels
            .map(|label| format!("{}={}", label.key(), label.value()))
            .collect();
        let value = match value {
            DebugValue::Counter(count) => count,
            DebugValue::Histogram(values) => values.len() as u64,
            DebugValue::Gauge(_) => 0,
        };
        (format!("{} {}", key.key().name(), labels.join(" ")), value)
    });
    measured.collect()
}

/// One start is rolled back and one committed; only the second was one.
async fn started_in_transactions() {
    let database = TestDatabase::create().await.unwrap();
    let db = Db::connect(database.owner_url(), DbOptions::new());
    let db = db.await.unwrap();
    let flow = Flow::builder(db.clone()).build().await.unwrap();
    flow.init().await.unwrap();
    for is_kept in [false, true] {
        let mut transaction = db.begin().await.unwrap();
        let start = flow.start(Pair, tale("tx"));
        start.in_transaction(&mut transaction).await.unwrap();
        if is_kept {
            transaction.commit().await.unwrap();
        } else {
            transaction.rollback().await.unwrap();
        }
    }
    flow.close().await.unwrap();
    db.close().await;
}

#[tokio::test]
async fn a_process_tells_of_its_runs_attempts_and_checkpoints_and_no_words_of_a_failure() {
    let recorder = DebuggingRecorder::new();
    let snapshotter = recorder.snapshotter();
    recorder.install().unwrap();
    let spans = Spans::default();
    let subscriber = tracing_subscriber::registry().with(spans.clone());
    tracing::subscriber::set_global_default(subscriber).unwrap();

    let flow = Flow::in_memory().build().await.unwrap();
    flow.start_driver().await.unwrap();
    let parent = flow.start(Pair, tale("parent")).await.unwrap();
    assert_eq!(
        parent.wait().await.unwrap().status,
        InstanceStatus::Completed
    );
    let failed = flow.start(Pair, tale("password1")).await.unwrap();
    let failed = failed.wait().await.unwrap();
    assert_eq!(failed.status, InstanceStatus::Failed);
    flow.close().await.unwrap();

    started_in_transactions().await;

    let measured = measured(&snapshotter);
    let count = |name: &str| measured.get(name).copied().unwrap_or_default();
    for (name, expected) in [
        (
            "forktex_flow_runs_started_total workflow=tale.pair trigger=manual",
            3,
        ),
        (
            "forktex_flow_runs_started_total workflow=tale.pair trigger=parent",
            1,
        ),
        (
            "forktex_flow_runs_ended_total workflow=tale.pair status=completed",
            2,
        ),
        (
            "forktex_flow_runs_ended_total workflow=tale.pair status=failed",
            1,
        ),
        (
            "forktex_flow_attempts_total workflow=tale.pair node=first outcome=completed",
            2,
        ),
        (
            "forktex_flow_attempts_total workflow=tale.pair node=first outcome=failed",
            2,
        ),
        (
            "forktex_flow_attempts_total workflow=tale.pair node=second outcome=completed",
            2,
        ),
        (
            "forktex_flow_attempt_seconds workflow=tale.pair node=first",
            4,
        ),
    ] {
        assert_eq!(count(name), expected, "{name} of {measured:#?}");
    }
    for name in [
        "forktex_flow_checkpoint_batch ",
        "forktex_flow_checkpoint_seconds ",
    ] {
        assert!(count(name) >= 4, "{name} of {measured:#?}");
    }
    assert!(
        measured.contains_key("forktex_flow_slots_in_use "),
        "{measured:#?}"
    );
    assert!(
        measured.contains_key("forktex_flow_leading "),
        "{measured:#?}"
    );

    let spans = spans.0.lock().unwrap();
    let id = failed.instance_id.to_string();
    let of_failed: Vec<&Fields> = spans
        .values()
        .filter(|fields| fields["forktex.run.id"] == id)
        .collect();
    let [fields] = &of_failed[..] else {
        panic!("not one attempt: {spans:#?}");
    };
    for (field, expected) in [
        ("otel.name", "tale.pair first"),
        ("otel.kind", "internal"),
        ("otel.status_code", "ERROR"),
        ("error.type", "fatal"),
        ("forktex.workflow.name", "tale.pair"),
        ("forktex.workflow.version", "1"),
        ("forktex.node.name", "first"),
        ("forktex.node.visit", "1"),
        ("forktex.node.attempt", "1"),
    ] {
        assert_eq!(fields[field], expected, "{field} of {fields:?}");
    }
    assert!(!format!("{spans:?}").contains("password1"), "{spans:#?}");
}
