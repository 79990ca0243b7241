// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! Writes outcomes in groups: what has gathered while one group was under way is the next.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, mpsc};
use tokio::time::{Instant, sleep, timeout_at};

use super::Shared;
use super::claimer::pause;
use super::leases::Held;
use crate::backend::{Outcome, Settled, Settlement};
use crate::error::QueueError;
use crate::telemetry;

/// The most outcomes that are written together.
const GROUP_MAX: usize = 256;

/// How long a worker that stops goes on trying to write its last outcomes.
pub(super) const LAST_WORDS: Duration = Duration::from_secs(10);

/// An outcome that is to be written. Its lease is renewed until it is.
pub(super) struct Answer {
    pub(super) held: Held,
    pub(super) outcome: Outcome,
    pub(super) hand: OwnedSemaphorePermit,
}

/// Writes what comes until the worker has stopped and all is written.
pub(super) async fn run(shared: Arc<Shared>, mut answers: mpsc::UnboundedReceiver<Answer>) {
    loop {
        let mut group = Vec::new();
        tokio::select! {
            // All outcomes are here when the worker stops, and go first.
            biased;
            count = answers.recv_many(&mut group, GROUP_MAX) => {
                if count == 0 {
                    return;
                }
            }
            () = shared.stopped.cancelled() => return,
        }
        write(&shared, group).await;
    }
}

/// Writes a group, for as long as the queue may come back.
async fn write(shared: &Shared, group: Vec<Answer>) {
    let settlements: Vec<Settlement> = group.iter().map(Answer::settlement).collect();
    match settle(shared, &settlements).await {
        Ok(()) => {}
        // One of them may be what is refused; the others are not to suffer for it.
        Err(_) if settlements.len() > 1 => {
            for settlement in &settlements {
                if let Err(error) = settle(shared, std::slice::from_ref(settlement)).await {
                    give_up(settlement, &error);
                }
            }
        }
        Err(error) => {
            for settlement in &settlements {
                give_up(settlement, &error);
            }
        }
    }
    for Answer { held, hand, .. } in group {
        // Its place is free only now that nothing is to be written of it.
        drop((held, hand));
    }
}

/// Tries until the queue has answered. Writing an outcome a second time is refused, so that an answer that
/// was lost does no harm.
async fn settle(shared: &Shared, settlements: &[Settlement]) -> Result<(), QueueError> {
    let mut failures = 0;
    loop {
        let began = Instant::now();
        match shared.backend.settle(settlements.to_vec()).await {
            Ok(answers) => {
                let refused = answers.iter().filter(|answer| **answer == Settled::Refused);
                let refused = refused.count();
                telemetry::settled(settlements.len(), refused, began.elapsed());
                if refused > 0 && failures == 0 {
                    tracing::warn!(
                        refused,
                        "outcomes came too late: the jobs are other workers' by now"
                    );
                }
                return Ok(());
            }
            Err(error) if !error.is_transient() => return Err(error),
            Err(error) => {
                if failures == 0 {
                    tracing::warn!(%error, "cannot write the outcomes of jobs; trying again");
                }
                if !rest(shared, pause(failures)).await {
                    return Err(error);
                }
                failures += 1;
            }
        }
    }
}

/// Waits before the next try; `false` where there is none, as the worker has long stopped.
async fn rest(shared: &Shared, pause: Duration) -> bool {
    let until = shared.stopped_at.get().map(|stopped| *stopped + LAST_WORDS);
    if let Some(until) = until {
        return Instant::now() < until && timeout_at(until, sleep(pause)).await.is_ok();
    }
    tokio::select! {
        () = sleep(pause) => {}
        () = shared.stopped.cancelled() => {}
    }
    true
}

fn give_up(settlement: &Settlement, error: &QueueError) {
    tracing::error!(
        %error, id = %settlement.lease.id,
        "cannot write the outcome of a job; it is done again when its lease has ended"
    );
}

impl Answer {
    fn settlement(&self) -> Settlement {
        Settlement {
            lease: self.held.lease.clone(),
            outcome: self.outcome.clone(),
        }
    }
}
