// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! Gives a body up that takes too long, or too long gives no sign of life.

use std::time::Duration;

use tokio::sync::{Notify, mpsc};

use super::{BodyResult, Execution, InFlight};
use crate::error::failure::{StepFailure, StepFailureKind};

/// What a body comes to within its time.
pub(super) async fn in_time(
    body: impl Future<Output = BodyResult>,
    timeout: Option<Duration>,
    heartbeat: Option<Duration>,
    beats: &Notify,
) -> BodyResult {
    tokio::select! {
        finished = body => finished,
        failure = overdue(timeout, heartbeat, beats) => Err(failure),
    }
}

/// Why a body is given up: it took too long, or too long gave no sign of life.
async fn overdue(
    timeout: Option<Duration>,
    heartbeat: Option<Duration>,
    beats: &Notify,
) -> StepFailure {
    let silent = async {
        match heartbeat {
            None => std::future::pending().await,
            Some(limit) => {
                while tokio::time::timeout(limit, beats.notified()).await.is_ok() {}
                format!("the step gave no heartbeat for {limit:?}")
            }
        }
    };
    let late = async {
        match timeout {
            None => std::future::pending().await,
            Some(limit) => {
                tokio::time::sleep(limit).await;
                format!("the step took longer than its timeout of {limit:?}")
            }
        }
    };
    let message = tokio::select! {
        message = silent => message,
        message = late => message,
    };
    StepFailure::new(StepFailureKind::Timeout, &message)
}

impl Execution {
    /// What else was running is of no use any more.
    pub(super) fn stop_bodies(&mut self) {
        let bodies = self.in_flight.drain().map(|(_, body)| body);
        let mut bodies: Vec<InFlight> = bodies.collect();
        bodies.sort_unstable_by_key(|body| body.member);
        for body in bodies {
            body.abort.abort();
            self.pending_calls.forget(body.member);
        }
        // What they asked and nobody took yet must not be taken for a call of who is in their places next.
        (self.requests_sender, self.requests) = mpsc::unbounded_channel();
    }
}
