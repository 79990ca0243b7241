// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! A queue to test on, on each backend, and what all tests use.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

#[cfg(feature = "redis")]
use forktex_queue::QueueOptions;
use forktex_queue::prelude::*;
use forktex_queue::{JobId, RunningWorker};
use serde::{Deserialize, Serialize};
use tokio::time::{Instant, sleep};

/// How long a test waits for what must come.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// The kinds of backend.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    InProcess,
    #[cfg(feature = "postgres")]
    Postgres,
    #[cfg(feature = "redis")]
    Redis,
}

/// An empty queue that is this test's alone.
pub(crate) struct Stage {
    pub(crate) queue: Queue,
    /// Held for their drops.
    _servers: Servers,
}

enum Servers {
    None,
    #[cfg(feature = "postgres")]
    Postgres(#[allow(dead_code)] forktex_testkit::TestDatabase),
    #[cfg(feature = "redis")]
    Redis(#[allow(dead_code)] forktex_testkit::TestRedis),
}

impl Stage {
    pub(crate) async fn new(kind: Kind) -> Self {
        let (queue, servers) = match kind {
            Kind::InProcess => (Queue::in_process(), Servers::None),
            #[cfg(feature = "postgres")]
            Kind::Postgres => {
                let database = forktex_testkit::TestDatabase::create().await.unwrap();
                let options = forktex_db::DbOptions::new();
                let db = forktex_db::Db::connect(database.owner_url(), options)
                    .await
                    .unwrap();
                (Queue::postgres(&db), Servers::Postgres(database))
            }
            #[cfg(feature = "redis")]
            Kind::Redis => {
                let redis = forktex_testkit::TestRedis::create().await.unwrap();
                let cache = forktex_cache::Cache::connect(redis.url()).await.unwrap();
                let options = QueueOptions::new().namespace(unique_namespace());
                let queue = Queue::redis_with(&cache, options).unwrap();
                (queue, Servers::Redis(redis))
            }
        };
        queue.init().await.unwrap();
        Self {
            queue,
            _servers: servers,
        }
    }

    /// A worker without the handlers that other tests have linked.
    pub(crate) fn worker(&self) -> Worker {
        Worker::new(&self.queue).without_linked()
    }

    /// A worker that notes all notes.
    pub(crate) async fn scribe(&self, ledger: &Ledger) -> RunningWorker {
        self.worker().handle(ledger.noting()).start().await.unwrap()
    }

    /// Waits until a job has gone.
    pub(crate) async fn gone(&self, id: JobId) {
        eventually("the job is done", async || {
            self.queue.job(id).await.unwrap().is_none()
        })
        .await;
    }
}

/// A namespace that nobody else has.
#[cfg_attr(not(feature = "redis"), allow(dead_code))]
pub(crate) fn unique_namespace() -> String {
    format!("t{}", uuid::Uuid::new_v4().simple())
}

/// Runs each case on each backend.
macro_rules! on_all_backends {
    ($($(#[doc = $docs:literal])* async fn $name:ident($stage:ident) $body:block)*) => {
        $(
            mod $name {
                #[allow(unused_imports, clippy::wildcard_imports)]
                use super::*;
                use crate::stage::{Kind, Stage};

                $(#[doc = $docs])*
                async fn case($stage: Stage) $body

                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn in_process() {
                    case(Stage::new(Kind::InProcess).await).await;
                }

                #[cfg(feature = "postgres")]
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn on_postgres() {
                    case(Stage::new(Kind::Postgres).await).await;
                }

                #[cfg(feature = "redis")]
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn on_redis() {
                    case(Stage::new(Kind::Redis).await).await;
                }
            }
        )*
    };
}

/// Polls until something holds.
pub(crate) async fn eventually(what: &str, holds: impl AsyncFn() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !holds().await {
        assert!(Instant::now() < deadline, "waited in vain: {what}");
        sleep(Duration::from_millis(5)).await;
    }
}

/// The job that most tests enqueue. Its retries come soon.
#[derive(Job, Debug, Clone, PartialEq, Serialize, Deserialize)]
#[job("test.note", backoff = ["1ms"])]
pub(crate) struct Note {
    pub(crate) text: String,
}

impl Note {
    pub(crate) fn new(text: impl Into<String>) -> Self {
        Self { text: text.into() }
    }
}

/// What was done, in order.
#[derive(Debug, Clone, Default)]
pub(crate) struct Ledger(Arc<Mutex<Vec<Entry>>>);

/// One attempt.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Entry {
    pub(crate) id: JobId,
    pub(crate) text: String,
    pub(crate) attempt: u16,
    pub(crate) at: Instant,
}

impl Ledger {
    pub(crate) fn note(&self, ctx: &JobContext, text: impl Into<String>) {
        self.0.lock().unwrap().push(Entry {
            id: ctx.id(),
            text: text.into(),
            attempt: ctx.attempt(),
            at: Instant::now(),
        });
    }

    /// A handler that notes and is done.
    pub(crate) fn noting(
        &self,
    ) -> impl Fn(Note, JobContext) -> std::future::Ready<JobResult> + Send + Sync + 'static {
        let ledger = self.clone();
        move |job, ctx| {
            ledger.note(&ctx, job.text);
            std::future::ready(Ok(()))
        }
    }

    /// A handler that notes and then does what `then` says.
    pub(crate) fn then<F, B>(
        &self,
        then: F,
    ) -> impl Fn(Note, JobContext) -> B + Send + Sync + 'static
    where
        F: Fn(Note, JobContext) -> B + Send + Sync + 'static,
        B: Future<Output = JobResult> + Send + 'static,
    {
        let ledger = self.clone();
        move |job, ctx| {
            ledger.note(&ctx, job.text.clone());
            then(job, ctx)
        }
    }

    pub(crate) fn entries(&self) -> Vec<Entry> {
        self.0.lock().unwrap().clone()
    }

    pub(crate) fn texts(&self) -> Vec<String> {
        let entries = self.entries();
        entries.into_iter().map(|entry| entry.text).collect()
    }

    pub(crate) fn len(&self) -> usize {
        self.0.lock().unwrap().len()
    }

    /// How often each job was tried.
    pub(crate) fn counts(&self) -> BTreeMap<JobId, usize> {
        let mut counts = BTreeMap::new();
        for entry in self.entries() {
            *counts.entry(entry.id).or_default() += 1;
        }
        counts
    }

    /// Waits until so many attempts were noted.
    pub(crate) async fn reaches(&self, count: usize) {
        eventually(&format!("{count} attempts"), async || self.len() >= count).await;
    }
}
