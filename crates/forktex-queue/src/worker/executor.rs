// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! Runs each job in a task of its own, and hands its outcome on to be written.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::Shared;
use super::answerer::Answer;
use super::slots::Place;
use crate::backend::{ClaimedJob, Lease, Outcome};

/// Starts a job. Its lease is renewed from now on.
pub(super) fn spawn(shared: &Arc<Shared>, job: ClaimedJob, place: Place) {
    let lease = Lease {
        id: job.id,
        queue: job.queue.clone(),
        token: job.token,
    };
    let held = shared.leases.hold(lease, shared.abandoned.clone());
    let worker = Arc::clone(shared);
    shared.jobs.spawn(async move {
        let Place { slot, hand } = place;
        let outcome = if worker.draining.is_cancelled() {
            // It came with a claim that was on its way when the worker began to drain.
            Some(Outcome::Release {
                delay: Duration::ZERO,
                note: None,
            })
        } else {
            worker.performer.perform(&job, &held.signals).await
        };
        drop(slot);
        let Some(outcome) = outcome else {
            tracing::warn!(
                job = %job.name, id = %job.id,
                "the lease of a job was lost while it ran; another worker does it"
            );
            return;
        };
        let counter = match outcome {
            Outcome::Release { .. } => &worker.handed_back,
            _ => &worker.finished,
        };
        counter.fetch_add(1, Ordering::Relaxed);
        // Nobody listens once the worker was dropped; the lease then ends by itself.
        let _ = worker.answers.send(Answer {
            held,
            outcome,
            hand,
        });
    });
}
