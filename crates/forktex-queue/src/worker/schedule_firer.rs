// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! Fires the schedules of a worker when their ticks come, by the backend's clock. All workers try; the
//! backend lets one through.

use std::sync::Arc;
use std::time::Duration;

use time::OffsetDateTime;
use tokio::time::{Instant, sleep};

use super::Shared;
use crate::cron::CheckedCron;
use crate::error::QueueError;
use crate::telemetry;

/// How late a tick may be fired: what came while no worker ran is made up for that long.
const LATE_MAX: Duration = Duration::from_secs(30);

/// How often the backend is asked for its time.
const CLOCK_KEPT: Duration = Duration::from_mins(1);

/// The longest rest.
const REST_MAX: Duration = Duration::from_secs(1);

/// The backend's clock, as it was told and has gone on by this process's.
struct Clock {
    told: OffsetDateTime,
    at: Instant,
}

/// Fires until the worker drains.
pub(super) async fn run(shared: Arc<Shared>, crons: Vec<CheckedCron>) {
    if crons.is_empty() {
        return;
    }
    let mut clock = None;
    // The ticks that are known to be fired, by anyone.
    let mut fired: Vec<Option<OffsetDateTime>> = vec![None; crons.len()];
    let mut is_failing = false;
    loop {
        let rest = match fire_due(&shared, &crons, &mut fired, &mut clock).await {
            Ok(rest) => {
                is_failing = false;
                rest
            }
            Err(error) => {
                if !std::mem::replace(&mut is_failing, true) {
                    tracing::warn!(%error, "cannot fire schedules; trying again");
                }
                REST_MAX
            }
        };
        tokio::select! {
            biased;
            () = shared.draining.cancelled() => return,
            () = sleep(rest) => {}
        }
    }
}

/// Fires what is due, and says how long until something may be.
async fn fire_due(
    shared: &Shared,
    crons: &[CheckedCron],
    fired: &mut [Option<OffsetDateTime>],
    clock: &mut Option<Clock>,
) -> Result<Duration, QueueError> {
    let now = now(shared, clock).await?;
    let mut rest = REST_MAX;
    for (cron, last) in crons.iter().zip(fired) {
        let due = cron.ticks.last_until(now);
        let due =
            due.filter(|tick| now - *tick <= LATE_MAX && last.is_none_or(|last| last < *tick));
        if let Some(tick) = due {
            let job = cron.job(&shared.queue, tick);
            match job {
                Ok(job) => {
                    if shared.backend.fire(&cron.name, tick, job).await? {
                        telemetry::fired(&cron.name);
                        shared.poke();
                    }
                }
                // It would be refused at each try.
                Err(error) => {
                    tracing::error!(%error, schedule = %cron.name, "a tick cannot be enqueued");
                }
            }
            *last = Some(tick);
        }
        if let Some(next) = cron.ticks.next_after(now) {
            // Whole milliseconds, a part more, so that the tick has come.
            let wait = Duration::try_from(next - now).unwrap_or_default();
            rest = rest.min(wait + Duration::from_millis(1));
        }
    }
    Ok(rest)
}

async fn now(shared: &Shared, clock: &mut Option<Clock>) -> Result<OffsetDateTime, QueueError> {
    let is_fresh = |clock: &Clock| clock.at.elapsed() < CLOCK_KEPT;
    if let Some(clock) = clock.as_ref().filter(|clock| is_fresh(clock)) {
        return Ok(clock.told + clock.at.elapsed());
    }
    let told = shared.backend.now().await?;
    *clock = Some(Clock {
        told,
        at: Instant::now(),
    });
    Ok(told)
}
