// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! Which loads wait for which, so that loads that call each other do not wait for each other for ever.

use std::collections::HashMap;
use std::collections::HashSet;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// The flights whose leaders wait, each with those that it waits for.
#[derive(Debug, Default)]
pub(super) struct Waits(Mutex<HashMap<u64, Vec<u64>>>);

/// A wait that is under way.
#[derive(Debug)]
pub(super) struct Waiting<'a> {
    waits: &'a Waits,
    from: Vec<u64>,
    to: u64,
}

impl Waits {
    /// Begins to wait for the flight `to` inside of those of `from`. `None` where that flight waits, by
    /// whatever way round, for one of them.
    pub(super) fn begin(&self, from: Vec<u64>, to: u64) -> Option<Waiting<'_>> {
        if !from.is_empty() {
            // Looked at and written under one lock, so that of two that close a circle one sees it.
            let mut waits = self.lock();
            if reaches(&waits, to, &from) {
                return None;
            }
            for flight in &from {
                waits.entry(*flight).or_default().push(to);
            }
        }
        Some(Waiting {
            waits: self,
            from,
            to,
        })
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<u64, Vec<u64>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        if self.from.is_empty() {
            return;
        }
        let mut waits = self.waits.lock();
        for flight in &self.from {
            let Some(targets) = waits.get_mut(flight) else {
                continue;
            };
            // A load may wait for the same flight twice at once; each wait ends alone.
            if let Some(position) = targets.iter().position(|target| *target == self.to) {
                targets.swap_remove(position);
            }
            if targets.is_empty() {
                waits.remove(flight);
            }
        }
    }
}

/// Whether `start` is one of `goals`, or waits for one.
fn reaches(waits: &HashMap<u64, Vec<u64>>, start: u64, goals: &[u64]) -> bool {
    let mut seen = HashSet::new();
    let mut open = vec![start];
    while let Some(flight) = open.pop() {
        if goals.contains(&flight) {
            return true;
        }
        if seen.insert(flight) {
            open.extend(waits.get(&flight).into_iter().flatten());
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_circle_is_refused_and_its_end_opens_it() {
        let waits = Waits::default();
        let first = waits.begin(vec![1], 2).unwrap();
        let second = waits.begin(vec![3, 2], 4).unwrap();
        assert!(waits.begin(vec![4], 1).is_none());
        assert!(waits.begin(vec![4], 4).is_none());
        assert!(waits.begin(vec![], 1).is_some());
        drop(first);
        assert!(waits.begin(vec![4], 1).is_some());
        drop(second);
        assert!(waits.lock().is_empty());
    }
}
