// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! What every backend answers, call by call: tokens, leases, ticks, rates. What a service sees of it is in
//! `tests/queue`.
#![allow(clippy::unwrap_used, clippy::panic)]

mod lease;
mod limit;
mod tick;

use std::sync::Arc;
use std::time::Duration;

use crate::backend::{Backend, Claim, ClaimedJob, Due, Lease, NewJob, Outcome, Settlement};
use crate::identifier::{JobId, JobName, QueueName, WorkerId};
use crate::queue::Queue;

/// Runs each case on each backend.
macro_rules! on_all_backends {
    ($($(#[doc = $docs:literal])* async fn $name:ident($stage:ident) $body:block)*) => {
        $(
            mod $name {
                #[allow(unused_imports, clippy::wildcard_imports)]
                use super::*;
                use crate::suite::Stage;

                $(#[doc = $docs])*
                async fn case($stage: Stage) $body

                #[tokio::test]
                async fn in_process() {
                    case(Stage::in_process().await).await;
                }

                #[cfg(feature = "postgres")]
                #[tokio::test]
                async fn on_postgres() {
                    case(Stage::on_postgres().await).await;
                }

                #[cfg(feature = "redis")]
                #[tokio::test]
                async fn on_redis() {
                    case(Stage::on_redis().await).await;
                }
            }
        )*
    };
}
use on_all_backends;

/// A backend that is this test's alone.
pub(crate) struct Stage {
    pub(crate) backend: Arc<dyn Backend>,
    /// Held for their drops.
    _servers: Box<dyn std::any::Any + Send>,
}

impl Stage {
    async fn of(queue: &Queue, servers: impl std::any::Any + Send) -> Self {
        queue.init().await.unwrap();
        Self {
            backend: Arc::clone(queue.backend()),
            _servers: Box::new(servers),
        }
    }

    pub(crate) async fn in_process() -> Self {
        Self::of(&Queue::in_process(), ()).await
    }

    #[cfg(feature = "postgres")]
    pub(crate) async fn on_postgres() -> Self {
        let database = forktex_testkit::TestDatabase::create().await.unwrap();
        let options = forktex_db::DbOptions::new();
        let db = forktex_db::Db::connect(database.owner_url(), options).await;
        Self::of(&Queue::postgres(&db.unwrap()), database).await
    }

    #[cfg(feature = "redis")]
    pub(crate) async fn on_redis() -> Self {
        let redis = forktex_testkit::TestRedis::create().await.unwrap();
        let cache = forktex_cache::Cache::connect(redis.url()).await.unwrap();
        let namespace = format!("t{}", uuid::Uuid::new_v4().simple());
        let options = crate::queue::QueueOptions::new().namespace(namespace);
        let queue = Queue::redis_with(&cache, options).unwrap();
        Self::of(&queue, redis).await
    }

    pub(crate) async fn put(&self, job: NewJob) -> JobId {
        let id = job.id;
        self.backend.put(vec![job]).await.unwrap();
        id
    }

    /// Claims as a worker of its own.
    pub(crate) async fn claim(&self, jobs_max: u32, lease: Duration) -> Vec<ClaimedJob> {
        let claim = Claim {
            worker: WorkerId::generate(),
            queues: vec![QueueName::unchecked("default")],
            jobs_max,
            lease,
        };
        self.backend.claim(&claim).await.unwrap().jobs
    }

    /// Claims until there is a job.
    pub(crate) async fn claim_one(&self, lease: Duration) -> ClaimedJob {
        let deadline = tokio::time::Instant::now() + Duration::from_secs(10);
        loop {
            if let Some(job) = self.claim(1, lease).await.pop() {
                return job;
            }
            assert!(tokio::time::Instant::now() < deadline, "no job came");
            self.maintain().await;
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    pub(crate) async fn maintain(&self) {
        let kept = Duration::from_hours(1);
        while self.backend.maintain(kept).await.unwrap().is_more {}
    }
}

/// A job that says nothing.
pub(crate) fn plain() -> NewJob {
    NewJob {
        id: JobId::generate(),
        name: JobName::unchecked("suite.plain"),
        queue: QueueName::unchecked("default"),
        tenant: String::new(),
        payload: b"{}".to_vec(),
        priority: 0,
        due: Due::Now,
        unique: None,
        limit: None,
        attempts_max: 3,
        timeout: Duration::from_mins(1),
        trace_parent: None,
    }
}

pub(crate) fn lease_of(job: &ClaimedJob) -> Lease {
    Lease {
        id: job.id,
        queue: job.queue.clone(),
        token: job.token,
    }
}

pub(crate) fn settlement(job: &ClaimedJob, outcome: Outcome) -> Settlement {
    Settlement {
        lease: lease_of(job),
        outcome,
    }
}
