// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! Turns between tenants.

use forktex_queue::Job;
use serde::{Deserialize, Serialize};

use crate::stage::{Ledger, Stage};

#[derive(Job, Clone, Serialize, Deserialize)]
#[job("test.tenant", tenant = "org")]
struct Errand {
    org: String,
    number: u32,
}

async fn put(stage: &Stage, org: &str, count: u32) {
    let errands = (0..count).map(|number| Errand {
        org: org.to_owned(),
        number,
    });
    stage.queue.enqueue_many(errands).await.unwrap();
}

async fn order(stage: &Stage, count: usize) -> Vec<String> {
    let ledger = Ledger::default();
    let noted = ledger.clone();
    let worker = stage
        .worker()
        .concurrency(1)
        .handle(move |job: Errand, ctx| {
            noted.note(&ctx, format!("{}{}", job.org, job.number));
            std::future::ready(Ok(()))
        });
    let running = worker.start().await.unwrap();
    ledger.reaches(count).await;
    running.drain("5s").await.unwrap();
    ledger.texts()
}

on_all_backends! {
    async fn a_tenant_with_many_jobs_does_not_keep_anothers_one_waiting(stage) {
        put(&stage, "many", 2_000).await;
        put(&stage, "one", 1).await;
        let order = order(&stage, 20).await;
        let place = order.iter().position(|text| text == "one0");
        assert!(place.is_some_and(|place| place < 4), "{place:?} of {order:?}");
    }

    async fn each_tenant_has_its_turn(stage) {
        for org in ["a", "b", "c"] {
            put(&stage, org, 5).await;
        }
        let order = order(&stage, 15).await;
        for turn in order.chunks(3) {
            let mut orgs: Vec<&str> = turn.iter().map(|text| &text[..1]).collect();
            orgs.sort_unstable();
            assert_eq!(orgs, ["a", "b", "c"], "{order:?}");
        }
        let of_a: Vec<&String> = order.iter().filter(|text| text.starts_with('a')).collect();
        assert_eq!(of_a, ["a0", "a1", "a2", "a3", "a4"]);
    }
}
