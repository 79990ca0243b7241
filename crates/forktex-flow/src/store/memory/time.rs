// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! How the clock moves: to what is due next, while somebody waits for it and nothing is being done.

use std::collections::HashMap;
use std::time::Duration;

use time::OffsetDateTime;

use super::tables::Tables;
use crate::identifier::InstanceId;

/// What somebody waits for: any of what is said.
#[derive(Debug, Clone)]
pub(crate) struct Await {
    /// The end of a run.
    pub(crate) run: Option<InstanceId>,
    /// More of it than the entries up to this one.
    pub(crate) after_sequence: Option<i64>,
    /// A time.
    pub(crate) until: Option<OffsetDateTime>,
}

/// All that is waited for.
#[derive(Debug, Default)]
pub(super) struct Awaits {
    last: u64,
    awaited: HashMap<u64, Await>,
}

impl Awaits {
    pub(super) fn add(&mut self, awaited: Await) -> u64 {
        self.last += 1;
        self.awaited.insert(self.last, awaited);
        self.last
    }

    pub(super) fn remove(&mut self, id: u64) {
        self.awaited.remove(&id);
    }
}

impl Tables {
    /// Moves the clock on to what is due next, if that is called for. Returns whether it was.
    ///
    /// A wait counts only until what it waits for is there: the clock must not run on while the waiter
    /// has not noticed yet.
    pub(super) fn move_clock(&mut self) -> bool {
        let waits = self.awaits.awaited.values();
        let open: Vec<&Await> = waits.filter(|wait| self.is_open(wait)).collect();
        if open.is_empty() || self.is_busy() {
            return false;
        }
        let until = open.iter().filter_map(|wait| wait.until).min();
        let Some(target) = until.into_iter().chain(self.next_due()).min() else {
            return false;
        };
        self.now = self.now.max(target);
        self.wake_due();
        true
    }

    /// Moves the clock on by so much.
    pub(super) fn let_pass(&mut self, time: Duration) {
        self.now += time;
        self.wake_due();
    }

    /// A time of its own, so that what is accepted later is younger.
    pub(super) fn tick(&mut self) -> OffsetDateTime {
        self.now += Duration::from_micros(1);
        self.now
    }

    fn is_open(&self, wait: &Await) -> bool {
        let is_to_come = wait.until.is_none_or(|until| until > self.now);
        let is_alive = wait.run.is_none_or(|run| {
            let is_silent = |after| self.last_sequence(run) <= after;
            self.active.contains(run) && wait.after_sequence.is_none_or(is_silent)
        });
        is_to_come && is_alive
    }

    /// Whether a worker is doing something, or is about to.
    pub(super) fn is_busy(&self) -> bool {
        if !self.workers.values().any(|worker| !worker.is_lost) {
            return false;
        }
        self.is_one_owned() || self.is_there_work()
    }

    /// Whether there is something to do and no worker is at it: one should look, and not wait for its
    /// next pulse.
    pub(super) fn has_work_for_the_idle(&self) -> bool {
        !self.is_one_owned() && self.is_there_work()
    }

    fn is_one_owned(&self) -> bool {
        self.active.owned().next().is_some()
    }

    fn is_there_work(&self) -> bool {
        self.is_one_claimable()
            || self.inbox.has_open()
            || self.due_schedule().is_some_and(|at| at <= self.now)
    }

    /// When something is to happen next without anybody doing it.
    fn next_due(&self) -> Option<OffsetDateTime> {
        let wake_at = self.active.waking().next().map(|(at, _)| at);
        wake_at.into_iter().chain(self.due_schedule()).min()
    }

    fn due_schedule(&self) -> Option<OffsetDateTime> {
        self.schedules
            .values()
            .filter(|schedule| self.is_served(schedule.definition_id))
            .filter_map(|schedule| schedule.due_at(&self.active))
            .min()
    }
}
