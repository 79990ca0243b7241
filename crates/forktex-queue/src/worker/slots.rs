// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! How much a worker may hold: slots for jobs that run, and hands for those whose outcome is not written
//! yet, so that a queue which answers slowly is not taken from without end.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

/// How long a claim waits for more slots to come free, once one is.
const GATHERING: Duration = Duration::from_millis(5);

pub(super) struct Slots {
    free: Arc<Semaphore>,
    hands: Arc<Semaphore>,
    count: u32,
}

/// Places for jobs that are about to be claimed. What is not used goes back.
pub(super) struct Places {
    slots: OwnedSemaphorePermit,
    hands: OwnedSemaphorePermit,
}

/// The place of one job.
pub(super) struct Place {
    /// Given back when the body has ended.
    pub(super) slot: OwnedSemaphorePermit,
    /// Given back when the outcome is written.
    pub(super) hand: OwnedSemaphorePermit,
}

impl Slots {
    pub(super) fn new(count: u32) -> Self {
        Self {
            free: Arc::new(Semaphore::new(count as usize)),
            hands: Arc::new(Semaphore::new(count as usize * 2)),
            count,
        }
    }

    /// How many jobs run.
    pub(super) fn in_use(&self) -> usize {
        (self.count as usize).saturating_sub(self.free.available_permits())
    }

    /// Waits for places: for half of all slots, or for as many as are free when the time to gather is over,
    /// at least one. Only the claimer asks, so that nobody else takes what is free meanwhile.
    ///
    /// `None` is never answered while the worker lives: the semaphores are not closed.
    pub(super) async fn take(&self) -> Option<Places> {
        let hands = Arc::clone(&self.hands).acquire_owned().await.ok()?;
        let half = (self.count / 2).max(1);
        let gathered = timeout(GATHERING, Arc::clone(&self.free).acquire_many_owned(half)).await;
        let slots = match gathered {
            Ok(slots) => slots.ok()?,
            Err(_) => Arc::clone(&self.free).acquire_owned().await.ok()?,
        };
        let mut places = Places { slots, hands };
        Self::add(&mut places.slots, &self.free, self.count as usize);
        let wanted = places.slots.num_permits() - 1;
        Self::add(&mut places.hands, &self.hands, wanted);
        let excess = places.slots.num_permits() - places.hands.num_permits();
        drop(places.slots.split(excess));
        Some(places)
    }

    /// Adds what is free, up to `most`.
    fn add(permit: &mut OwnedSemaphorePermit, of: &Arc<Semaphore>, most: usize) {
        let free = of.available_permits().min(most);
        let free = u32::try_from(free).unwrap_or(u32::MAX);
        if let Ok(more) = Arc::clone(of).try_acquire_many_owned(free) {
            permit.merge(more);
        }
    }
}

impl Places {
    pub(super) fn count(&self) -> u32 {
        u32::try_from(self.slots.num_permits()).unwrap_or(u32::MAX)
    }

    /// The place of one of the jobs that were claimed; `None` where there are more jobs than places, which
    /// no backend answers.
    pub(super) fn split(&mut self) -> Option<Place> {
        Some(Place {
            slot: self.slots.split(1)?,
            hand: self.hands.split(1)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_claim_gathers_slots_but_not_for_long() {
        let slots = Slots::new(8);
        let mut all = slots.take().await.unwrap();
        assert_eq!(all.count(), 8);
        let one = all.split().unwrap();
        let rest: Vec<_> = std::iter::from_fn(|| all.split()).collect();
        assert_eq!(rest.len(), 7);
        drop(one);
        // One slot of eight is free: the claim waits 5 ms for more and then asks for one.
        let began = tokio::time::Instant::now();
        let places = slots.take().await.unwrap();
        assert_eq!((places.count(), began.elapsed()), (1, GATHERING));
    }

    #[tokio::test(start_paused = true)]
    async fn outcomes_that_are_not_written_keep_hands_full() {
        let slots = Slots::new(2);
        let mut hands = Vec::new();
        for _ in 0..2 {
            let mut places = slots.take().await.unwrap();
            assert_eq!(places.count(), 2);
            hands.extend(std::iter::from_fn(|| places.split()).map(|place| place.hand));
        }
        let none = timeout(Duration::from_secs(1), slots.take()).await;
        assert!(none.is_err());
        hands.pop();
        assert_eq!(slots.take().await.unwrap().count(), 1);
    }
}
