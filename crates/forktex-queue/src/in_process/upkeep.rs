// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! What nobody asks for: due jobs become ready, ended leases are taken back, old things go.

use std::time::Duration;

use super::claim::MOVES_MAX;
use super::settle::Lapse;
use super::state::{Moment, State};
use crate::backend::Maintained;
use crate::identifier::{JobId, QueueName};

impl State {
    /// One bounded pass over all queues.
    pub(super) fn maintain(&mut self, dead_letters_kept: Duration, now: Moment) -> Maintained {
        let mut done = Maintained::default();
        let queues: Vec<QueueName> = self.queues.keys().cloned().collect();
        for queue in &queues {
            let promoted = self.promote(queue, now, MOVES_MAX);
            let lapsed = self.take_back(queue, now, &mut done);
            let pruned = self.prune_dead(queue, dead_letters_kept, now);
            self.let_stranded_go(queue);
            self.forget_limits(queue, now);
            done.promoted += promoted as u64;
            done.pruned += pruned as u64;
            done.is_more |= [promoted, lapsed, pruned].contains(&MOVES_MAX);
        }
        let unlocked = self.prune_locks(now);
        done.pruned += unlocked as u64;
        done.is_more |= unlocked == MOVES_MAX;
        done
    }

    fn take_back(&mut self, queue: &QueueName, now: Moment, done: &mut Maintained) -> usize {
        let Some(places) = self.queues.get(queue) else {
            return 0;
        };
        let over = places.running.iter().take_while(|(until, _)| *until <= now);
        let over: Vec<JobId> = over.take(MOVES_MAX).map(|(_, id)| *id).collect();
        for id in &over {
            match self.lapse(*id, now) {
                Some(Lapse::TakenBack) => done.taken_back += 1,
                Some(Lapse::Buried) => done.buried += 1,
                Some(Lapse::Removed) | None => {}
            }
        }
        over.len()
    }

    fn prune_dead(&mut self, queue: &QueueName, kept: Duration, now: Moment) -> usize {
        let Some(places) = self.queues.get(queue) else {
            return 0;
        };
        let old = places.dead.iter();
        let old = old.take_while(|(died_at, _)| died_at.after(kept) <= now);
        let old: Vec<JobId> = old.take(MOVES_MAX).map(|(_, id)| *id).collect();
        for id in &old {
            self.leave(*id);
        }
        old.len()
    }

    fn prune_locks(&mut self, now: Moment) -> usize {
        let mut pruned = 0;
        while pruned < MOVES_MAX
            && let Some((until, _)) = self.lock_ends.first()
            && *until <= now
            && let Some((until, key)) = self.lock_ends.pop_first()
        {
            let is_same = |held: &super::state::Holder| held.until == Some(until);
            if self.holders.get(&key).is_some_and(is_same) {
                self.holders.remove(&key);
            }
            pruned += 1;
        }
        pruned
    }

    /// Lets a job go of each key of which none runs, in case whatever was let go in its place has gone
    /// another way.
    fn let_stranded_go(&mut self, queue: &QueueName) {
        let Some(places) = self.queues.get(queue) else {
            return;
        };
        let is_idle = |key: &&String| {
            let used = places.limits.get(*key);
            used.is_none_or(|used| used.running == 0)
        };
        let stranded: Vec<String> = places.held.keys().filter(is_idle).cloned().collect();
        for key in stranded {
            self.let_go(queue, Some(&key));
        }
    }

    fn forget_limits(&mut self, queue: &QueueName, now: Moment) {
        if let Some(places) = self.queues.get_mut(queue) {
            places.limits.retain(|_, used| {
                used.forget(now);
                !used.is_idle()
            });
        }
    }
}
