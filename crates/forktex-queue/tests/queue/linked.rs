// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! Handlers and schedules that are found at link time, and what their macros make.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use forktex_queue::prelude::*;
use forktex_queue::{Limit, WorkerError};
use serde::{Deserialize, Serialize};

use crate::stage::{Ledger, Note, eventually};

#[derive(Job, Debug, Clone, Serialize, Deserialize)]
#[job(
    "linked.send", queue = "mail", max_attempts = 5, timeout = "30s", backoff = ["1ms", "1m30s"],
    unique = "10m", tenant = "org_id", limit_key = "r#type", concurrency = 3, rate = "100/1m",
    priority = -5,
)]
struct Send {
    org_id: Option<u64>,
    r#type: String,
}

#[derive(Job, Serialize, Deserialize)]
#[job("linked.plain", queue = "mail", concurrency = 2)]
enum Plain {
    Ok,
    Fails,
}

#[derive(Job, Default, Serialize, Deserialize)]
#[job("linked.tick", queue = "mail", cron = "* * * * * *", timezone = "Asia/Tokyo", unique = until_started)]
struct Tick;

/// An error that is a text and nothing more.
#[derive(Debug)]
struct Refusal(&'static str);

impl fmt::Display for Refusal {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "refused: {}", self.0)
    }
}

#[job_handler]
async fn send(job: Send, ledger: Resource<Ledger>, ctx: &JobContext) -> JobResult {
    ledger.note(ctx, job.r#type);
    Ok(())
}

#[job_handler]
async fn plain(job: Plain) -> Result<(), Refusal> {
    match job {
        Plain::Ok => Ok(()),
        Plain::Fails => Err(Refusal("by choice")),
    }
}

#[job_handler]
async fn tick(_: Tick, ctx: &JobContext, ledger: Resource<Ledger>) -> Result<(), std::io::Error> {
    ledger.note(ctx, "tick");
    Ok(())
}

#[test]
fn the_type_says_how_its_jobs_are_run() {
    let settings = Send::SETTINGS;
    assert_eq!(Send::NAME, "linked.send");
    assert_eq!(
        (settings.queue, settings.max_attempts, settings.priority),
        ("mail", 5, -5)
    );
    assert_eq!(settings.timeout, Duration::from_secs(30));
    let delays = [Duration::from_millis(1), Duration::from_secs(90)];
    assert_eq!(settings.backoff, Some(&delays[..]));
    assert_eq!(settings.unique, Some(Unique::For(Duration::from_mins(10))));
    let mut job = Send {
        org_id: Some(7),
        r#type: "a".to_owned(),
    };
    assert_eq!(job.tenant().as_deref(), Some("7"));
    let limit = |key: &str| Limit::new(key).concurrency(3).rate(100, "1m");
    assert_eq!(job.limit(), Some(limit("linked.send/a")));
    job.org_id = None;
    job.r#type = String::new();
    assert_eq!((job.tenant(), job.limit()), (None, None));
    let all = Limit::new("linked.plain").concurrency(2);
    assert_eq!(Plain::Ok.limit(), Some(all));
    assert_eq!(Tick::SETTINGS.unique, Some(Unique::UntilStarted));
}

#[tokio::test]
async fn a_linked_handler_is_found_and_given_its_resources() {
    let (queue, ledger) = (Queue::in_process(), Arc::new(Ledger::default()));
    let worker = Worker::new(&queue).shared_resource(Arc::clone(&ledger));
    let running = worker.start().await.unwrap();
    let job = Send {
        org_id: None,
        r#type: "letter".to_owned(),
    };
    queue.enqueue(job).await.unwrap();
    // Its schedule is linked as well.
    eventually("both are noted", async || {
        let texts = ledger.texts();
        ["letter", "tick"]
            .iter()
            .all(|text| texts.iter().any(|noted| noted == text))
    })
    .await;
    running.drain("5s").await.unwrap();
}

#[tokio::test]
async fn a_worker_that_lacks_a_resource_is_not_started() {
    let queue = Queue::in_process();
    let refused = Worker::new(&queue).start().await.unwrap_err();
    assert!(
        matches!(&refused, WorkerError::MissingResource { resource, .. } if resource.contains("Ledger")),
        "{refused}"
    );
    let refused = Worker::new(&queue)
        .without_linked()
        .start()
        .await
        .unwrap_err();
    assert!(matches!(refused, WorkerError::NoHandlers), "{refused}");
    let ledger = Ledger::default();
    let twice = Worker::new(&queue).without_linked();
    let twice = twice.handle(ledger.noting()).handle(ledger.noting());
    let refused = twice.start().await.unwrap_err();
    assert!(
        matches!(refused, WorkerError::Duplicate { .. }),
        "{refused}"
    );
    for bad in [
        Worker::new(&queue).concurrency(0),
        Worker::new(&queue).lease("1ms"),
        Worker::new(&queue).lease("soon"),
        Worker::new(&queue).queues(["no queue"]),
        Worker::new(&queue).queues(Vec::<String>::new()),
    ] {
        let bad = bad.without_linked().handle(ledger.noting());
        assert!(bad.start().await.is_err());
    }
}

#[tokio::test]
async fn an_error_that_is_only_a_text_is_kept() {
    let queue = Queue::inline().without_linked().handler::<plain>();
    let queue = queue.build().unwrap();
    queue.enqueue(Plain::Ok).await.unwrap();
    let failed = queue
        .enqueue(Plain::Fails)
        .max_attempts(1)
        .await
        .unwrap_err();
    assert!(
        failed.to_string().ends_with("refused: by choice"),
        "{failed}"
    );
}

#[tokio::test]
async fn a_handler_is_the_plain_fn_that_it_was_written_as() {
    let ledger = Ledger::default();
    let job = Send {
        org_id: None,
        r#type: "a".to_owned(),
    };
    let ctx = JobContext::for_test::<Send>();
    assert_eq!((ctx.attempt(), ctx.attempts_max()), (1, 5));
    send(job, Resource::new(ledger.clone()), &ctx)
        .await
        .unwrap();
    assert_eq!(ledger.texts(), ["a"]);
    // A note has no linked handler, and a closure is as good.
    let queue = Queue::inline().without_linked().handle(ledger.noting());
    let queue = queue.build().unwrap();
    queue.enqueue(Note::new("b")).await.unwrap();
    assert_eq!(ledger.texts(), ["a", "b"]);
}
