// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! Keeps the queue in order, once a second: due jobs become ready, ended leases are taken back, what is old
//! goes. Every worker does it, so that nobody needs to be chosen; the backend sees to it that two do not do
//! the same.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::sleep;

use super::Shared;
use crate::backend::Maintained;
use crate::telemetry;

const INTERVAL: Duration = Duration::from_secs(1);

/// The most passes without a rest.
const PASSES_MAX: usize = 100;

/// Maintains until the worker has stopped.
pub(super) async fn run(shared: Arc<Shared>) {
    let mut is_failing = false;
    loop {
        // Spread, so that the workers of a service do not all come at once.
        let interval = INTERVAL.mul_f64(0.8 + 0.4 * fastrand::f64());
        tokio::select! {
            biased;
            () = shared.stopped.cancelled() => return,
            () = sleep(interval) => {}
        }
        telemetry::slots_in_use(shared.slots.in_use());
        tokio::select! {
            biased;
            () = shared.stopped.cancelled() => return,
            () = maintain(&shared, &mut is_failing) => {}
        }
    }
}

async fn maintain(shared: &Shared, is_failing: &mut bool) {
    for _ in 0..PASSES_MAX {
        let kept = shared.options.dead_letters_kept;
        let done = match shared.backend.maintain(kept).await {
            Ok(done) => done,
            Err(error) => {
                if !std::mem::replace(is_failing, true) {
                    tracing::warn!(%error, "cannot maintain the queue; trying again");
                }
                return;
            }
        };
        *is_failing = false;
        telemetry::maintained(done);
        let Maintained {
            promoted,
            taken_back,
            is_more,
            ..
        } = done;
        if promoted + taken_back > 0 {
            shared.poke();
        }
        if taken_back > 0 {
            tracing::info!(taken_back, "jobs of lost workers are ready again");
        }
        if !is_more {
            return;
        }
    }
}
