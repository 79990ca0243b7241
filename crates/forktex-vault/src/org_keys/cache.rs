// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! The keys of organisations in memory: so many, for so long.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use uuid::Uuid;

use crate::vault::Vault;

pub(super) struct Cache {
    expires_after: Duration,
    entries_max: usize,
    /// A std mutex: it is held for a look-up, never across an await.
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    entries: HashMap<Uuid, Entry>,
    /// Counts the removals, so that what was read before one is not put in after it.
    generation: u64,
}

struct Entry {
    vault: Vault,
    asked_at: Instant,
}

impl Cache {
    pub(super) fn new(expires_after: Duration, entries_max: usize) -> Self {
        Self {
            expires_after,
            entries_max,
            state: Mutex::default(),
        }
    }

    pub(super) fn get(&self, org: Uuid) -> Option<Vault> {
        let state = self.lock();
        let entry = state.entries.get(&org)?;
        (entry.asked_at.elapsed() < self.expires_after).then(|| entry.vault.clone())
    }

    pub(super) fn generation(&self) -> u64 {
        self.lock().generation
    }

    /// Puts a key in that the database was asked for at that time, unless a key was removed since.
    pub(super) fn put(&self, org: Uuid, vault: Vault, asked_at: Instant, generation: u64) {
        let mut state = self.lock();
        if state.generation != generation {
            return;
        }
        if state.entries.len() >= self.entries_max {
            let expires_after = self.expires_after;
            state
                .entries
                .retain(|_, entry| entry.asked_at.elapsed() < expires_after);
        }
        if state.entries.len() >= self.entries_max {
            let oldest = state.entries.iter().min_by_key(|(_, entry)| entry.asked_at);
            if let Some(oldest) = oldest.map(|(org, _)| *org) {
                state.entries.remove(&oldest);
            }
        }
        state.entries.insert(org, Entry { vault, asked_at });
    }

    pub(super) fn remove(&self, org: Uuid) {
        let mut state = self.lock();
        state.generation += 1;
        state.entries.remove(&org);
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // A panic cannot leave the map half changed.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::key::Key;

    fn vault() -> Vault {
        Vault::from_key(&Key::from_bytes([1; 32]))
    }

    #[test]
    fn it_holds_no_more_than_its_limit_and_drops_the_oldest() {
        let cache = Cache::new(Duration::from_mins(1), 2);
        let start = Instant::now();
        for n in 0..3 {
            let asked_at = start + Duration::from_nanos(n);
            cache.put(Uuid::from_u128(n.into()), vault(), asked_at, 0);
        }
        assert!(cache.get(Uuid::from_u128(0)).is_none());
        assert!(cache.get(Uuid::from_u128(1)).is_some());
        assert!(cache.get(Uuid::from_u128(2)).is_some());
    }

    #[test]
    fn what_was_read_before_a_removal_is_not_put_in_after_it() {
        let cache = Cache::new(Duration::from_mins(1), 2);
        let (asked_at, generation) = (Instant::now(), cache.generation());
        cache.remove(Uuid::nil());
        cache.put(Uuid::nil(), vault(), asked_at, generation);
        assert!(cache.get(Uuid::nil()).is_none());
    }

    #[test]
    fn an_expired_key_is_not_used() {
        let cache = Cache::new(Duration::ZERO, 2);
        cache.put(Uuid::nil(), vault(), Instant::now(), 0);
        assert!(cache.get(Uuid::nil()).is_none());
    }
}
