// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! Workers of apalis on each backend: their builder, layers and events on top, our leases, retries and
//! dead letters below.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use apalis_core::backend::TaskSink;
use apalis_core::error::{AbortError, BoxDynError, RetryAfterError};
use apalis_core::layers::{Layer, Service};
use apalis_core::task::builder::TaskBuilder;
use apalis_core::task::data::Data;
use apalis_core::worker::builder::WorkerBuilder;
use apalis_core::worker::context::WorkerContext;
use forktex_queue::prelude::*;
use forktex_queue::{DeadReason, JobStatus};

use crate::stage::{Ledger, Note, eventually};

/// A layer of the worker that counts what goes through it.
#[derive(Clone, Default)]
struct CountLayer(Arc<AtomicUsize>);

#[derive(Clone)]
struct CountService<S> {
    inner: S,
    count: Arc<AtomicUsize>,
}

impl<S> Layer<S> for CountLayer {
    type Service = CountService<S>;

    fn layer(&self, inner: S) -> CountService<S> {
        CountService {
            inner,
            count: Arc::clone(&self.0),
        }
    }
}

impl<S: Service<R>, R> Service<R> for CountService<S> {
    type Response = S::Response;
    type Error = S::Error;
    type Future = S::Future;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: R) -> S::Future {
        self.count.fetch_add(1, Ordering::SeqCst);
        self.inner.call(request)
    }
}

/// Does as the text of the note says.
async fn obey(note: Note, ctx: JobContext, ledger: Data<Ledger>) -> Result<(), BoxDynError> {
    ledger.note(&ctx, note.text.clone());
    match note.text.as_str() {
        "fail once" if ctx.attempt() == 1 => Err("not yet".into()),
        "later" if ctx.attempt() == 1 => {
            Err(RetryAfterError::new("busy", Duration::from_millis(20)).into())
        }
        "abort" => Err(AbortError::new("never").into()),
        "fail" => Err("again and again".into()),
        _ => Ok(()),
    }
}

/// Stops after its first job.
async fn once(_: Note, worker: WorkerContext) {
    // It is stopped once.
    let _ = worker.stop();
}

on_all_backends! {
    /// Each job goes once through the layers, and is gone when the worker has run.
    async fn a_worker_of_apalis_does_the_jobs_with_its_layers(stage) {
        let ledger = Ledger::default();
        let layer = CountLayer::default();
        let mut jobs = stage.queue.apalis::<Note>().concurrency(4);
        jobs.push(Note::new("pushed")).await.unwrap();
        jobs.push_bulk((0..10).map(|at| Note::new(format!("bulk {at}"))).collect())
            .await
            .unwrap();
        stage.queue.enqueue(Note::new("enqueued")).await.unwrap();

        let ctx = WorkerContext::new("notes");
        let worker = WorkerBuilder::new(&ctx)
            .backend(jobs)
            .data(ledger.clone())
            .layer(layer.clone())
            .build(obey);
        let stop = async {
            ledger.reaches(12).await;
            ctx.stop().unwrap();
        };
        let (ran, ()) = tokio::join!(worker.run(), stop);
        ran.unwrap();
        assert_eq!(layer.0.load(Ordering::SeqCst), 12);
        assert!(ledger.counts().values().all(|count| *count == 1));
        let page = stage.queue.list().fetch(None).await.unwrap();
        assert_eq!(page.jobs.len(), 0, "{:?}", page.jobs);
    }

    /// What apalis says of an error means what it does here.
    async fn errors_of_apalis_mean_a_retry_or_a_dead_letter(stage) {
        let ledger = Ledger::default();
        let texts = ["fail once", "later", "abort", "fail"];
        stage.queue.enqueue_many(texts.map(Note::new)).await.unwrap();
        let ctx = WorkerContext::new("notes");
        let worker = WorkerBuilder::new(&ctx)
            .backend(stage.queue.apalis::<Note>())
            .data(ledger.clone())
            .build(obey);
        let stop = async {
            eventually("two are dead and the others done", async || {
                let page = stage.queue.list().fetch(None).await.unwrap();
                page.jobs.len() == 2 && page.jobs.iter().all(|job| job.status == JobStatus::Dead)
            })
            .await;
            ctx.stop().unwrap();
        };
        let (ran, ()) = tokio::join!(worker.run(), stop);
        ran.unwrap();
        let dead = stage.queue.dead_letters().fetch(None).await.unwrap().jobs;
        let reason = |note: &str| {
            let job = dead.iter().find(|job| job.note.as_deref() == Some(note));
            job.and_then(|job| job.dead_reason)
        };
        assert_eq!(reason("never"), Some(DeadReason::Fatal));
        assert_eq!(reason("again and again"), Some(DeadReason::Exhausted));
        let attempts = |text: &str| ledger.texts().iter().filter(|each| *each == text).count();
        assert_eq!(texts.map(attempts), [2, 2, 1, 3]);
    }

    /// What a task says is kept: when it is due, and that there is one of it.
    async fn a_task_that_is_pushed_keeps_what_it_says(stage) {
        let mut jobs = stage.queue.apalis::<Note>();
        for _ in 0..2 {
            let task = TaskBuilder::new(Note::new("tomorrow"))
                .run_in_hours(24)
                .priority(7)
                .max_attempts(9)
                .idempotency_key("only one")
                .build();
            jobs.push_task(task).await.unwrap();
        }
        let page = stage.queue.list().fetch(None).await.unwrap();
        let [job] = page.jobs.as_slice() else {
            panic!("{:?}", page.jobs);
        };
        assert_eq!(job.status, JobStatus::Scheduled);
        assert_eq!((job.priority, job.attempts_max), (7, 9));
    }

    /// Jobs that apalis was not given yet are ready for others when its worker stops, and not counted.
    async fn what_a_stopped_worker_did_not_begin_is_handed_back(stage) {
        stage.queue.enqueue_many((0..40).map(|_| Note::new("one of many"))).await.unwrap();
        let worker = WorkerBuilder::new("notes")
            .backend(stage.queue.apalis::<Note>().concurrency(8))
            .build(once);
        worker.run().await.unwrap();
        let stats = stage.queue.stats("default").await.unwrap();
        assert!(stats.ready >= 30 && stats.running == 0, "{stats:?}");
        let page = stage.queue.list().fetch(None).await.unwrap();
        assert!(page.jobs.iter().all(|job| job.attempts == 0), "{:?}", page.jobs);
    }

    /// An attempt that takes too long ends for apalis as well, and is tried again by our settings.
    async fn an_attempt_that_times_out_is_dropped_by_apalis(stage) {
        let ledger = Ledger::default();
        let ctx = WorkerContext::new("notes");
        let noted = ledger.clone();
        let enqueued = stage
            .queue
            .enqueue(Note::new("slow"))
            .timeout("50ms")
            .max_attempts(2)
            .await
            .unwrap();
        let worker = WorkerBuilder::new(&ctx)
            .backend(stage.queue.apalis::<Note>())
            .data(noted)
            .build(sleep_on);
        let stop = async {
            eventually("it is dead", async || {
                let job = stage.queue.job(enqueued.id()).await.unwrap();
                job.is_some_and(|job| job.status == JobStatus::Dead)
            })
            .await;
            ctx.stop().unwrap();
        };
        // It would never end if apalis waited for its bodies.
        let (ran, ()) = tokio::join!(worker.run(), stop);
        ran.unwrap();
        assert_eq!(ledger.len(), 2);
    }
}

/// Never ends.
async fn sleep_on(_: Note, ctx: JobContext, ledger: Data<Ledger>) {
    ledger.note(&ctx, "slow");
    std::future::pending::<()>().await;
}
