// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! Jobs through `forktex`, and through a dependency of another name.
#![allow(clippy::expect_used)]

use std::sync::atomic::{AtomicU64, Ordering};

use forktex::queue::prelude::*;
use serde::{Deserialize, Serialize};

#[derive(Job, Default, Serialize, Deserialize)]
#[job(
    "facade.job",
    queue = "facade",
    unique = "1h",
    tenant = "tenant",
    limit_key = "key",
    concurrency = 2,
    rate = "5/1s",
    cron = "0 2 * * *",
    backoff = "1s"
)]
pub(crate) struct Facade {
    tenant: u64,
    key: Option<String>,
}

#[job_handler]
async fn facade(
    job: Facade,
    _ctx: &JobContext,
    seen: Resource<Seen>,
) -> Result<(), std::fmt::Error> {
    seen.0.fetch_add(job.tenant, Ordering::Relaxed);
    Ok(())
}

/// What the handlers add up.
#[derive(Default)]
pub(crate) struct Seen(AtomicU64);

#[derive(renamed_queue::Job, Default, Serialize, Deserialize)]
#[job(
    "renamed.job", queue = "renamed", unique = "1h", tenant = "tenant", limit_key = "key",
    concurrency = 2, rate = "5/1s", cron = "0 2 * * *", backoff = "1s", crate = ::renamed_queue,
)]
pub(crate) struct Renamed {
    tenant: u64,
    key: Option<String>,
}

#[renamed_queue::job_handler(crate = ::renamed_queue)]
async fn renamed(
    job: Renamed,
    _ctx: &JobContext,
    seen: Resource<Seen>,
) -> Result<(), std::fmt::Error> {
    seen.0.fetch_add(job.tenant, Ordering::Relaxed);
    Ok(())
}

/// The facade re-exports the very same traits, so that one worker finds both handlers.
#[tokio::test]
async fn both_ways_make_the_same_job() {
    let seen = std::sync::Arc::new(Seen::default());
    let queue = Queue::inline().shared_resource(seen.clone()).build();
    let queue = queue.expect("both handlers have their resource");
    let facade = Facade {
        tenant: 3,
        key: None,
    };
    let renamed = Renamed {
        tenant: 4,
        key: Some("k".to_owned()),
    };
    assert_eq!(
        (facade.tenant(), renamed.tenant()),
        (Some("3".into()), Some("4".into()))
    );
    assert!(facade.limit().is_none() && renamed.limit().is_some());
    queue.enqueue(facade).await.expect("it is done inline");
    queue.enqueue(renamed).await.expect("it is done inline");
    assert_eq!(seen.0.load(Ordering::Relaxed), 7);
}
