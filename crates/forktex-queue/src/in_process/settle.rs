// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! How attempts end, by the word of whoever has the lease or by the end of the lease.

use std::time::Duration;

use super::claim::is_of;
use super::state::{Kept, Moment, Stand, State};
use crate::backend::{Outcome, Settled, Settlement};
use crate::identifier::JobId;
use crate::record::DeadReason;

/// What became of a job whose lease had ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Lapse {
    TakenBack,
    Buried,
    /// It was being cancelled, and is gone.
    Removed,
}

impl State {
    /// Takes the end of an attempt, from whoever has the lease alone.
    pub(super) fn settle(&mut self, settlement: Settlement, now: Moment) -> Settled {
        let Settlement { lease, outcome } = settlement;
        let is_held = self
            .jobs
            .get(&lease.id)
            .is_some_and(|job| is_of(job, &lease));
        let Some(mut job) = is_held.then(|| self.end_run(lease.id)).flatten() else {
            return Settled::Refused;
        };
        // A job that was asked to end is not tried again, whatever its body said of it.
        if job.is_cancelling {
            self.unlock(&job, false);
            return Settled::Accepted;
        }
        match outcome {
            Outcome::Done | Outcome::Cancelled => self.unlock(&job, false),
            Outcome::Retry { delay, error } => {
                job.note = Some(error);
                job.make_due(now.after(delay), now);
                self.enter(job);
            }
            Outcome::Dead { reason, error } => self.bury(job, reason, Some(error), now),
            Outcome::Release { delay, note } => {
                job.attempts = job.attempts.saturating_sub(1);
                job.note = note.or(job.note.take());
                self.hand_back(job, delay, now);
            }
        }
        Settled::Accepted
    }

    /// Takes a running job from a worker whose lease has ended.
    pub(super) fn lapse(&mut self, id: JobId, now: Moment) -> Option<Lapse> {
        let mut job = self.end_run(id)?;
        if job.is_cancelling {
            self.unlock(&job, false);
            return Some(Lapse::Removed);
        }
        let note = "the worker that had it was lost".to_owned();
        if job.attempts >= job.attempts_max {
            self.bury(job, DeadReason::LeaseLost, Some(note), now);
            return Some(Lapse::Buried);
        }
        job.note = Some(note);
        self.hand_back(job, Duration::ZERO, now);
        Some(Lapse::TakenBack)
    }

    /// Takes a running job out, which lets another go that waits for its limit.
    fn end_run(&mut self, id: JobId) -> Option<Kept> {
        let job = self.leave(id)?;
        self.let_go(&job.queue, job.limit_key());
        Some(job)
    }

    /// Makes a job ready at its old score, so that it goes before what came after it; or due later.
    fn hand_back(&mut self, mut job: Kept, delay: Duration, now: Moment) {
        if delay.is_zero() {
            job.stand = Stand::Ready;
        } else {
            job.make_due(now.after(delay), now);
        }
        self.enter(job);
    }

    fn bury(&mut self, mut job: Kept, reason: DeadReason, note: Option<String>, now: Moment) {
        self.unlock(&job, false);
        job.note = note;
        job.stand = Stand::Dead {
            reason,
            died_at: now,
        };
        self.enter(job);
    }
}
