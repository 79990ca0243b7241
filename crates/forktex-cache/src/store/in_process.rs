// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! The store in this process, for development and tests: it answers as Redis does, and forgets all when
//! it is dropped.
//!
//! Time is tokio's, so that a test can move it. Nothing here waits.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use fred::bytes::Bytes;
use tokio::time::Instant;

use super::{GENERATION_TTL, Pattern, SetOnly, Taken, TimeToLive, lease_key, text};
use crate::error::CacheError;

/// Entries in memory.
#[derive(Debug)]
pub(crate) struct InProcessStore {
    entries_max: usize,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    entries: HashMap<String, Entry>,
    /// Counts writes, so that the oldest entry is known.
    writes: u64,
    is_closed: bool,
}

struct Entry {
    value: Bytes,
    expires: Option<Instant>,
    written: u64,
}

/// How many there are, and nothing of them.
impl std::fmt::Debug for State {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("State")
            .field("entries", &self.entries.len())
            .finish_non_exhaustive()
    }
}

impl InProcessStore {
    pub(crate) fn new(entries_max: usize) -> Self {
        Self {
            entries_max,
            state: Mutex::default(),
        }
    }

    pub(super) fn ping(&self) -> Result<(), CacheError> {
        self.open().map(drop)
    }

    pub(super) fn close(&self) {
        let mut state = self.lock();
        state.is_closed = true;
        state.entries.clear();
    }

    pub(super) fn get(&self, key: &str) -> Result<Option<Bytes>, CacheError> {
        let mut state = self.open()?;
        Ok(state.live(key).map(|entry| entry.value.clone()))
    }

    pub(super) fn get_with_ttl(
        &self,
        key: &str,
    ) -> Result<Option<(Bytes, Option<Duration>)>, CacheError> {
        let mut state = self.open()?;
        let entry = state.live(key);
        Ok(entry.map(|entry| (entry.value.clone(), entry.left())))
    }

    pub(super) fn get_many(&self, keys: &[String]) -> Result<Vec<Option<Bytes>>, CacheError> {
        let mut state = self.open()?;
        let values = keys
            .iter()
            .map(|key| state.live(key).map(|entry| entry.value.clone()));
        Ok(values.collect())
    }

    pub(super) fn set(
        &self,
        key: &str,
        value: Bytes,
        ttl: Option<Duration>,
        only: SetOnly,
    ) -> Result<bool, CacheError> {
        let mut state = self.open()?;
        let is_there = state.live(key).is_some();
        let may = match only {
            SetOnly::Always => true,
            SetOnly::IfAbsent => !is_there,
            SetOnly::IfPresent => is_there,
        };
        if may {
            state.entries.remove(&lease_key(key));
            state.put(key, value, ttl, self.entries_max);
        }
        Ok(may)
    }

    pub(super) fn set_many(
        &self,
        values: Vec<(String, Bytes)>,
        ttl: Option<Duration>,
    ) -> Result<(), CacheError> {
        let mut state = self.open()?;
        for (key, value) in values {
            state.entries.remove(&lease_key(&key));
            state.put(&key, value, ttl, self.entries_max);
        }
        Ok(())
    }

    pub(super) fn put(&self, key: &str, value: Bytes, ttl: Duration) -> Result<(), CacheError> {
        self.open()?.put(key, value, Some(ttl), self.entries_max);
        Ok(())
    }

    pub(super) fn increment(
        &self,
        key: &str,
        by: i64,
        ttl_if_new: Option<Duration>,
    ) -> Result<i64, CacheError> {
        let mut state = self.open()?;
        let (number, ttl) = match state.live(key) {
            None => (0, ttl_if_new),
            Some(entry) => {
                let number = text(&entry.value).parse::<i64>();
                let number = number.map_err(|_| CacheError::WrongType {
                    key: key.to_owned(),
                })?;
                (number, entry.left())
            }
        };
        let sum = number.checked_add(by).ok_or_else(|| CacheError::Rejected {
            action: "count",
            code: "ERR".to_owned(),
        })?;
        state.put(key, Bytes::from(sum.to_string()), ttl, self.entries_max);
        Ok(sum)
    }

    pub(super) fn unlink(&self, keys: &[String]) -> Result<u64, CacheError> {
        let mut state = self.open()?;
        Ok(keys.iter().map(|key| state.remove(key)).sum())
    }

    pub(super) fn unlink_matching(&self, pattern: &Pattern) -> Result<u64, CacheError> {
        let mut state = self.open()?;
        let keys: Vec<String> = state
            .entries
            .keys()
            .map(|key| value_key(key).unwrap_or(key))
            .filter(|key| pattern.matches(key))
            .map(str::to_owned)
            .collect();
        Ok(keys.iter().map(|key| state.remove(key)).sum())
    }

    pub(super) fn expire(&self, key: &str, ttl: Duration) -> Result<bool, CacheError> {
        let mut state = self.open()?;
        let entry = state.live(key);
        Ok(entry
            .map(|entry| entry.expires = Some(Instant::now() + ttl))
            .is_some())
    }

    pub(super) fn persist(&self, key: &str) -> Result<bool, CacheError> {
        let mut state = self.open()?;
        let entry = state.live(key);
        Ok(entry.is_some_and(|entry| entry.expires.take().is_some()))
    }

    pub(super) fn ttl(&self, key: &str) -> Result<TimeToLive, CacheError> {
        let mut state = self.open()?;
        Ok(match state.live(key).map(|entry| entry.left()) {
            None => TimeToLive::Absent,
            Some(None) => TimeToLive::Unlimited,
            Some(Some(left)) => TimeToLive::Left(left),
        })
    }

    pub(super) fn exists(&self, key: &str) -> Result<bool, CacheError> {
        Ok(self.open()?.live(key).is_some())
    }

    pub(super) fn take_lease(
        &self,
        key: &str,
        token: &str,
        lease: Duration,
        force: bool,
    ) -> Result<Taken, CacheError> {
        let mut state = self.open()?;
        if let Some(entry) = state.live(key).filter(|_| !force) {
            return Ok(Taken::Value(entry.value.clone(), entry.left()));
        }
        let lease_key = lease_key(key);
        if let Some(entry) = state.live(&lease_key) {
            return Ok(Taken::Other {
                remaining: entry.left().unwrap_or_default(),
            });
        }
        let token = Bytes::copy_from_slice(token.as_bytes());
        state.put(&lease_key, token, Some(lease), self.entries_max);
        Ok(Taken::Mine)
    }

    pub(super) fn renew_lease(
        &self,
        key: &str,
        token: &str,
        lease: Duration,
    ) -> Result<bool, CacheError> {
        let mut state = self.open()?;
        let entry = state.lease_of(key, token);
        Ok(entry
            .map(|entry| entry.expires = Some(Instant::now() + lease))
            .is_some())
    }

    pub(super) fn release_lease(&self, key: &str, token: &str) -> Result<bool, CacheError> {
        let mut state = self.open()?;
        let is_mine = state.lease_of(key, token).is_some();
        if is_mine {
            state.entries.remove(&lease_key(key));
        }
        Ok(is_mine)
    }

    pub(super) fn fill(
        &self,
        key: &str,
        token: &str,
        value: Bytes,
        ttl: Duration,
    ) -> Result<bool, CacheError> {
        let mut state = self.open()?;
        let is_mine = state.lease_of(key, token).is_some();
        if is_mine {
            state.entries.remove(&lease_key(key));
            state.put(key, value, Some(ttl), self.entries_max);
        }
        Ok(is_mine)
    }

    pub(super) fn ensure_generations(
        &self,
        tags: &[String],
        new: &str,
    ) -> Result<Vec<String>, CacheError> {
        let mut state = self.open()?;
        let mut generations = Vec::with_capacity(tags.len());
        for tag in tags {
            let known = state.live(tag).map(|entry| {
                entry.expires = Some(Instant::now() + GENERATION_TTL);
                text(&entry.value)
            });
            generations.push(known.unwrap_or_else(|| {
                let value = Bytes::copy_from_slice(new.as_bytes());
                state.put(tag, value, Some(GENERATION_TTL), self.entries_max);
                new.to_owned()
            }));
        }
        Ok(generations)
    }

    /// Reads a key and writes it anew, as one, for what a script does on Redis: `decide` gets the stored
    /// value, and gives what to write, with its time to live, and what to answer.
    pub(crate) fn update<R>(
        &self,
        key: &str,
        decide: impl FnOnce(Option<&[u8]>) -> (Option<(Bytes, Duration)>, R),
    ) -> Result<R, CacheError> {
        let mut state = self.open()?;
        let stored = state.live(key).map(|entry| entry.value.clone());
        let (written, answer) = decide(stored.as_deref());
        if let Some((value, ttl)) = written {
            state.put(key, value, Some(ttl), self.entries_max);
        }
        Ok(answer)
    }

    fn open(&self) -> Result<MutexGuard<'_, State>, CacheError> {
        let state = self.lock();
        if state.is_closed {
            return Err(CacheError::Closed);
        }
        Ok(state)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Each call leaves the entries whole, also where it panics.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// An entry whose time is not over; one whose time is goes.
    fn live(&mut self, key: &str) -> Option<&mut Entry> {
        if self.entries.get(key)?.is_expired(Instant::now()) {
            self.entries.remove(key);
            return None;
        }
        self.entries.get_mut(key)
    }

    /// The lease of a key, while it is the token's.
    fn lease_of(&mut self, key: &str, token: &str) -> Option<&mut Entry> {
        self.live(&lease_key(key))
            .filter(|entry| entry.value == token.as_bytes())
    }

    fn put(&mut self, key: &str, value: Bytes, ttl: Option<Duration>, entries_max: usize) {
        self.writes += 1;
        let entry = Entry {
            value,
            expires: ttl.map(|ttl| Instant::now() + ttl),
            written: self.writes,
        };
        self.entries.insert(key.to_owned(), entry);
        if self.entries.len() > entries_max {
            self.make_room(entries_max);
        }
    }

    /// Drops what is over, and then the oldest tenth, so that the search is seldom.
    fn make_room(&mut self, entries_max: usize) {
        let now = Instant::now();
        self.entries.retain(|_, entry| !entry.is_expired(now));
        if self.entries.len() <= entries_max {
            return;
        }
        let kept = (entries_max - entries_max / 10).max(1);
        let surplus = self.entries.len().saturating_sub(kept);
        let mut ages: Vec<u64> = self.entries.values().map(|entry| entry.written).collect();
        if surplus == 0 || surplus >= ages.len() {
            return;
        }
        let (_, oldest_kept, _) = ages.select_nth_unstable(surplus);
        let oldest_kept = *oldest_kept;
        self.entries.retain(|_, entry| entry.written >= oldest_kept);
    }

    /// Drops a value and its lease; how many values there were.
    fn remove(&mut self, key: &str) -> u64 {
        self.entries.remove(&lease_key(key));
        let was_live = self.live(key).is_some();
        self.entries.remove(key);
        u64::from(was_live)
    }
}

impl Entry {
    fn is_expired(&self, now: Instant) -> bool {
        self.expires.is_some_and(|expires| expires <= now)
    }

    fn left(&self) -> Option<Duration> {
        let expires = self.expires?;
        Some(expires.saturating_duration_since(Instant::now()))
    }
}

/// The key whose lease this is.
fn value_key(lease: &str) -> Option<&str> {
    lease.strip_prefix('{')?.strip_suffix("}:lease")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(text: &'static str) -> Bytes {
        Bytes::from_static(text.as_bytes())
    }

    #[test]
    fn the_oldest_make_room() {
        let store = InProcessStore::new(10);
        for key in 0..11 {
            store
                .set(&key.to_string(), bytes("v"), None, SetOnly::Always)
                .unwrap();
        }
        assert!(!store.exists("0").unwrap() && !store.exists("1").unwrap());
        assert!((2..11).all(|key: i32| store.exists(&key.to_string()).unwrap()));
    }

    #[tokio::test(start_paused = true)]
    async fn the_expired_make_room_before_the_oldest() {
        let store = InProcessStore::new(2);
        store.set("old", bytes("v"), None, SetOnly::Always).unwrap();
        let second = Some(Duration::from_secs(1));
        store
            .set("over", bytes("v"), second, SetOnly::Always)
            .unwrap();
        tokio::time::advance(Duration::from_secs(1)).await;
        store.set("new", bytes("v"), None, SetOnly::Always).unwrap();
        assert!(store.exists("old").unwrap() && store.exists("new").unwrap());
    }

    #[test]
    fn debug_shows_no_value() {
        let store = InProcessStore::new(10);
        store
            .set("user:1", bytes("hunter2"), None, SetOnly::Always)
            .unwrap();
        let shown = format!("{store:?}");
        assert!(
            shown.contains("entries: 1") && !shown.contains("hunter2"),
            "{shown}"
        );
    }
}
