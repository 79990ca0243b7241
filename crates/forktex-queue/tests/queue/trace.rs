// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! The trace of a job.

use std::sync::{Arc, Mutex};

use forktex_queue::QueueOptions;
use forktex_queue::prelude::*;

use crate::stage::{Ledger, Note};

const PARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

on_all_backends! {
    async fn the_trace_goes_from_whoever_enqueues_to_whoever_does_it(stage) {
        let ledger = Ledger::default();
        let queue = stage.queue.clone();
        let adopted = Arc::new(Mutex::new(Vec::new()));
        let adopting = Arc::clone(&adopted);
        let worker = stage.worker();
        let worker = worker.adopt_trace(move |_, parent| {
            adopting.lock().unwrap().push(parent.to_owned());
        });
        let worker = worker.handle(ledger.then(move |job, ctx| {
            let queue = queue.clone();
            async move {
                assert_eq!(ctx.trace_parent(), Some(PARENT));
                if job.text == "first" {
                    // It goes on from job to job.
                    queue.enqueue(Note::new("second")).await?;
                }
                Ok(())
            }
        }));
        let running = worker.start().await.unwrap();
        stage.queue.enqueue(Note::new("first")).trace_parent(PARENT).await.unwrap();
        ledger.reaches(2).await;
        running.drain("5s").await.unwrap();
        assert_eq!(*adopted.lock().unwrap(), [PARENT, PARENT]);
        assert!(stage.queue.dead_letters().fetch(None).await.unwrap().jobs.is_empty());
    }
}

#[tokio::test]
async fn the_queue_may_know_where_the_trace_is_found() {
    let ledger = Ledger::default();
    let noted = ledger.clone();
    let options = QueueOptions::new().trace_parent(|| Some(PARENT.to_owned()));
    let queue = Queue::inline().without_linked().options(options);
    let queue = queue.handle(move |_: Note, ctx| {
        noted.note(&ctx, ctx.trace_parent().unwrap_or_default());
        std::future::ready(Ok(()))
    });
    queue
        .build()
        .unwrap()
        .enqueue(Note::new("a"))
        .await
        .unwrap();
    assert_eq!(ledger.texts(), [PARENT]);
    // What is no trace is left out.
    let options = QueueOptions::new().trace_parent(|| Some("mine".to_owned()));
    let queue = Queue::inline().without_linked().options(options);
    let noted = ledger.clone();
    let queue = queue.handle(move |_: Note, ctx| {
        noted.note(&ctx, format!("{:?}", ctx.trace_parent()));
        std::future::ready(Ok(()))
    });
    queue
        .build()
        .unwrap()
        .enqueue(Note::new("a"))
        .await
        .unwrap();
    assert_eq!(ledger.texts(), [PARENT, "None"]);
}
