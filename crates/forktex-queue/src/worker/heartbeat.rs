// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! Renews all leases at each third of their time, in one call, and tells the jobs what came back.

use std::sync::Arc;

use tokio::time::{Instant, sleep_until, timeout};

use super::Shared;
use crate::telemetry;

/// The most leases of one call.
const LEASES_MAX: usize = 1_000;

/// Renews until the worker has stopped.
pub(super) async fn run(shared: Arc<Shared>) {
    let lease = shared.options.lease;
    let mut next = Instant::now() + lease / 3;
    let mut is_failing = false;
    loop {
        tokio::select! {
            biased;
            () = shared.stopped.cancelled() => return,
            () = sleep_until(next) => {}
        }
        let began = Instant::now();
        let is_renewed = renew(&shared, &mut is_failing).await;
        // A renewal that failed is tried again while the leases still last.
        next = began + if is_renewed { lease / 3 } else { lease / 10 };
    }
}

async fn renew(shared: &Shared, is_failing: &mut bool) -> bool {
    let lease = shared.options.lease;
    let mut lost = 0;
    for leases in shared.leases.all().chunks(LEASES_MAX) {
        // One that does not answer is not to keep the next from being sent.
        let answer = timeout(lease / 3, shared.backend.renew(leases, lease)).await;
        let fault = match answer {
            Ok(Ok(answers)) => {
                lost += shared.leases.tell(leases, &answers);
                continue;
            }
            Ok(Err(error)) => error.to_string(),
            Err(_) => "no answer in time".to_owned(),
        };
        if !std::mem::replace(is_failing, true) {
            tracing::warn!(fault, "cannot renew leases; trying again");
        }
        return false;
    }
    *is_failing = false;
    if lost > 0 {
        telemetry::leases_lost(lost);
    }
    true
}
