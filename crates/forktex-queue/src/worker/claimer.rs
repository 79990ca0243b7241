// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! Asks for as many jobs as there are free slots, when there may be some.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, sleep};

use super::{Shared, executor};
use crate::backend::{Claim, Claimed};
use crate::error::QueueError;
use crate::telemetry;

/// How long an idle worker waits before it looks again. A wake is a hint; this is the truth.
const POLL: Duration = Duration::from_secs(1);

/// How long a worker waits after a claim that failed, and at most after many.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LAST_PAUSE: Duration = Duration::from_secs(5);

/// Claims until the worker drains; an error where the queue was closed.
pub(super) async fn run(shared: Arc<Shared>) -> Result<(), QueueError> {
    let mut wakes = Wakes::new(&shared);
    let mut failures = 0;
    loop {
        let mut places = tokio::select! {
            biased;
            () = shared.draining.cancelled() => return Ok(()),
            places = shared.slots.take() => match places {
                Some(places) => places,
                None => return Ok(()),
            },
        };
        // What comes from here on is seen by the claim, or wakes it again.
        wakes.mark_seen();
        let asked = places.count();
        let began = Instant::now();
        // Not dropped when the worker drains: the jobs it is given would have to wait for their leases.
        let answer = shared
            .backend
            .claim(&Claim {
                worker: shared.worker,
                queues: shared.queues.clone(),
                jobs_max: asked,
                lease: shared.options.lease,
            })
            .await;
        let claimed = match answer {
            Ok(claimed) => claimed,
            Err(error @ QueueError::Closed { .. }) => return Err(error),
            Err(error) => {
                drop(places);
                tell_of_failure(&error, failures);
                rest(&shared, pause(failures)).await;
                failures += 1;
                continue;
            }
        };
        failures = 0;
        telemetry::claimed(claimed.jobs.len(), began.elapsed());
        let Claimed {
            jobs,
            is_more,
            next_due,
        } = claimed;
        let is_full = jobs.len() >= asked as usize;
        for job in jobs {
            match places.split() {
                Some(place) => executor::spawn(&shared, job, place),
                None => debug_assert!(false, "a backend gave more jobs than were asked for"),
            }
        }
        drop(places);
        if !is_more && !is_full {
            wakes.wait(&shared, next_due).await;
        }
    }
}

/// What tells of work: the backend, and this worker itself.
struct Wakes {
    backend: watch::Receiver<u64>,
    own: watch::Receiver<u64>,
}

impl Wakes {
    fn new(shared: &Shared) -> Self {
        Self {
            backend: shared.backend.wakes(),
            own: shared.poked.subscribe(),
        }
    }

    fn mark_seen(&mut self) {
        self.backend.mark_unchanged();
        self.own.mark_unchanged();
    }

    /// Waits until there may be work.
    async fn wait(&mut self, shared: &Shared, next_due: Option<Duration>) {
        let poll = POLL.mul_f64(0.9 + 0.2 * fastrand::f64());
        let time = next_due.map_or(poll, |due| due.min(poll));
        tokio::select! {
            () = changed(&mut self.backend) => {}
            () = changed(&mut self.own) => {}
            () = rest(shared, time) => {}
        }
    }
}

/// Waits for a change. A sender that is gone changes nothing any more.
async fn changed(receiver: &mut watch::Receiver<u64>) {
    if receiver.changed().await.is_err() {
        std::future::pending::<()>().await;
    }
}

/// Waits, but not longer than until the worker drains.
async fn rest(shared: &Shared, time: Duration) {
    tokio::select! {
        () = shared.draining.cancelled() => {}
        () = sleep(time) => {}
    }
}

/// The pause after as many failures in a row, spread so that workers do not come back together.
pub(super) fn pause(failures: u32) -> Duration {
    let factor = 2_u32.saturating_pow(failures.min(16));
    let pause = FIRST_PAUSE.saturating_mul(factor).min(LAST_PAUSE);
    pause.mul_f64(0.5 + 0.5 * fastrand::f64())
}

fn tell_of_failure(error: &QueueError, failures: u32) {
    if failures == 0 {
        tracing::warn!(%error, "cannot claim jobs; trying again");
    } else {
        tracing::debug!(%error, failures, "still cannot claim jobs");
    }
}
