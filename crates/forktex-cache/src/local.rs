// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! The local tier: what cached functions keep in this process, on top of Redis.
//!
//! An entry is served only while Redis tells this process of every change of its key and of its tags
//! (see `tracking`); where that is not sure, nothing of the tier is. It decides nothing about how long a
//! value is fresh, and holds none that was not read from Redis.

mod tracking;

use std::collections::BTreeSet;
use std::collections::hash_map::RandomState;
use std::fmt;
use std::hash::BuildHasher as _;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use fred::bytes::Bytes;
use fred::clients::Pool;
use moka::Expiry;
use tokio::sync::watch;

use crate::cache::Cache;
use crate::namespace::Namespace;
use crate::telemetry;

/// Clocks of keys and of tags. Those that share one are invalidated together, which costs a read.
const KEY_CLOCKS: usize = 1_024;
const TAG_CLOCKS: usize = 4_096;

/// What an entry takes beside its key and its JSON, about.
const ENTRY_BYTES: usize = 160;

/// The keys of tags' generations have this in them, and no others.
const TAG_MARK: &str = "%tag:";

/// The local tier of a cache.
pub(crate) struct LocalTier(Option<Arc<Tier>>);

impl LocalTier {
    /// A tier of at most so many bytes.
    pub(crate) fn new(bytes_max: u64) -> Self {
        Self(Some(Arc::new(Tier::new(bytes_max))))
    }

    /// No tier: nothing is kept.
    pub(crate) fn off() -> Self {
        Self(None)
    }

    /// The JSON of a value.
    pub(crate) fn get(&self, key: &str) -> Option<Bytes> {
        self.0.as_ref()?.get(key)
    }

    /// Begins to read a value from Redis; to be called before the question is sent. `None` where the
    /// value is not to be kept.
    pub(crate) fn begin(
        &self,
        cache: &Cache,
        namespace: &Namespace,
        key: &str,
        tags: &[String],
    ) -> Option<Fetch> {
        let tier = self.0.as_ref()?;
        let pool = cache.client()?;
        let prefix = cache.prefix();
        let mut prefixes = vec![format!("{prefix}{namespace}:")];
        if !tags.is_empty() {
            prefixes.push(format!("{prefix}{TAG_MARK}"));
        }
        tier.track(prefixes, pool, prefix);
        tier.begin(key, tags)
    }

    /// Drops what is kept of a key, since this process changed it.
    pub(crate) fn forget(&self, key: &str) {
        if let Some(tier) = &self.0 {
            tier.drop_key(key);
        }
    }

    /// Drops all, since this process changed more than it can tell.
    pub(crate) fn forget_all(&self) {
        if let Some(tier) = &self.0 {
            tier.clear();
        }
    }

    /// Drops what is kept under a tag, by the key of its generation.
    pub(crate) fn forget_tagged(&self, tag: &str) {
        if let Some(tier) = &self.0 {
            tier.drop_tagged(tag);
        }
    }

    /// Ends the connections that tell of changes, and keeps nothing from now on.
    pub(crate) fn close(&self) {
        if let Some(tier) = &self.0 {
            tier.wanted.send_modify(|wanted| {
                tier.is_live.store(false, Ordering::SeqCst);
                wanted.is_closed = true;
            });
        }
    }
}

impl fmt::Debug for LocalTier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut tuple = f.debug_struct("LocalTier");
        if let Some(tier) = &self.0 {
            tuple
                .field("is_live", &tier.is_live)
                .field("entries", &tier.entries.entry_count());
        }
        tuple.finish()
    }
}

/// What is to be told of.
#[derive(Clone, Debug, Default)]
struct Wanted {
    prefixes: BTreeSet<String>,
    /// The prefix of the cache.
    cache_prefix: String,
    is_closed: bool,
}

struct Tier {
    entries: moka::sync::Cache<String, Arc<Kept>>,
    hasher: RandomState,
    /// Counts the changes of the keys that share it. Its lock is held while an entry is put in, so that
    /// a change is seen either before that, or by the entry.
    key_clocks: Box<[Mutex<u64>]>,
    tag_clocks: Box<[AtomicU64]>,
    /// An entry of another epoch counts for nothing.
    epoch: AtomicU64,
    /// Whether every change of what is wanted is told.
    is_live: AtomicBool,
    wanted: watch::Sender<Wanted>,
}

/// An entry.
struct Kept {
    payload: Bytes,
    time: Duration,
    epoch: u64,
    tags: Box<[TagClock]>,
}

/// A tag's clock, as it was.
#[derive(Clone, Copy)]
struct TagClock {
    position: usize,
    count: u64,
}

/// A value that is being read from Redis. It is not kept where a change overtakes it.
pub(crate) struct Fetch {
    tier: Arc<Tier>,
    key: String,
    position: usize,
    count: u64,
    epoch: u64,
    tags: Box<[TagClock]>,
}

impl Fetch {
    /// Keeps what was read, for so long.
    pub(crate) fn keep(self, payload: Bytes, time: Duration) {
        let Self {
            tier,
            key,
            position,
            count,
            epoch,
            tags,
        } = self;
        let Some(clock) = tier.key_clocks.get(position) else {
            return;
        };
        let clock = lock(clock);
        if *clock == count {
            let kept = Kept {
                payload,
                time,
                epoch,
                tags,
            };
            tier.entries.insert(key, Arc::new(kept));
        }
    }
}

impl Tier {
    fn new(bytes_max: u64) -> Self {
        let bytes = |key: &String, kept: &Arc<Kept>| {
            let bytes = key.len() + kept.payload.len() + ENTRY_BYTES;
            u32::try_from(bytes).unwrap_or(u32::MAX)
        };
        Self {
            entries: moka::sync::Cache::builder()
                .max_capacity(bytes_max)
                .weigher(bytes)
                .expire_after(ByTime)
                .build(),
            hasher: RandomState::new(),
            key_clocks: (0..KEY_CLOCKS).map(|_| Mutex::default()).collect(),
            tag_clocks: (0..TAG_CLOCKS).map(|_| AtomicU64::default()).collect(),
            epoch: AtomicU64::default(),
            is_live: AtomicBool::default(),
            wanted: watch::Sender::default(),
        }
    }

    fn get(&self, key: &str) -> Option<Bytes> {
        if !self.is_live.load(Ordering::SeqCst) {
            return None;
        }
        let kept = self.entries.get(key)?;
        let is_current = kept.epoch == self.epoch.load(Ordering::SeqCst)
            && kept.tags.iter().all(|tag| {
                let clock = self.tag_clocks.get(tag.position);
                clock.is_some_and(|clock| clock.load(Ordering::SeqCst) == tag.count)
            });
        is_current.then(|| kept.payload.clone())
    }

    fn begin(self: &Arc<Self>, key: &str, tags: &[String]) -> Option<Fetch> {
        // Before the rest: what is dropped from here on is seen by the epoch.
        let epoch = self.epoch.load(Ordering::SeqCst);
        if !self.is_live.load(Ordering::SeqCst) {
            return None;
        }
        let position = self.position(key, KEY_CLOCKS);
        let count = *lock(self.key_clocks.get(position)?);
        let tags = tags.iter().map(|tag| {
            let position = self.position(tag, TAG_CLOCKS);
            let count = self.tag_clocks.get(position)?.load(Ordering::SeqCst);
            Some(TagClock { position, count })
        });
        Some(Fetch {
            tier: Arc::clone(self),
            key: key.to_owned(),
            position,
            count,
            epoch,
            tags: tags.collect::<Option<_>>()?,
        })
    }

    /// Sees to it that changes under these prefixes are told.
    fn track(self: &Arc<Self>, prefixes: Vec<String>, pool: &Pool, cache_prefix: &str) {
        let is_known = {
            let wanted = self.wanted.borrow();
            wanted.is_closed
                || prefixes
                    .iter()
                    .all(|prefix| wanted.prefixes.contains(prefix))
        };
        if is_known {
            return;
        }
        let mut is_first = false;
        self.wanted.send_if_modified(|wanted| {
            is_first = wanted.prefixes.is_empty();
            let mut is_new = false;
            for prefix in prefixes {
                is_new |= wanted.prefixes.insert(prefix);
            }
            cache_prefix.clone_into(&mut wanted.cache_prefix);
            if is_new {
                // Until the new ones are told of as well.
                self.is_live.store(false, Ordering::SeqCst);
            }
            is_new
        });
        if is_first {
            tracking::spawn(self, pool.clone());
        }
    }

    /// Every change under these prefixes is told from now on. Whether they are all that is wanted.
    fn go_live(&self, prefixes: &BTreeSet<String>) -> bool {
        self.clear();
        // Held, so that nothing more can be wanted meanwhile.
        let wanted = self.wanted.borrow();
        let is_all = wanted.prefixes == *prefixes && !wanted.is_closed;
        if is_all {
            self.is_live.store(true, Ordering::SeqCst);
        }
        is_all
    }

    /// Changes may go untold from now on. Whether they were told before.
    fn go_dark(&self, reason: &'static str) -> bool {
        let was_live = self.is_live.swap(false, Ordering::SeqCst);
        let entries = self.entries.entry_count();
        self.clear();
        if entries > 0 {
            telemetry::local_dropped(reason, entries);
        }
        was_live
    }

    /// Redis tells of a change.
    fn notice(&self, key: &str) {
        if key.contains(TAG_MARK) {
            self.drop_tagged(key);
        } else if self.drop_key(key) {
            telemetry::local_dropped("invalidated", 1);
        }
    }

    /// Whether there was an entry.
    fn drop_key(&self, key: &str) -> bool {
        let Some(clock) = self.key_clocks.get(self.position(key, KEY_CLOCKS)) else {
            return false;
        };
        let mut clock = lock(clock);
        *clock += 1;
        self.entries.remove(key).is_some()
    }

    fn drop_tagged(&self, tag: &str) {
        if let Some(clock) = self.tag_clocks.get(self.position(tag, TAG_CLOCKS)) {
            clock.fetch_add(1, Ordering::SeqCst);
        }
    }

    fn clear(&self) {
        self.epoch.fetch_add(1, Ordering::SeqCst);
        self.entries.invalidate_all();
    }

    fn position(&self, text: &str, clocks: usize) -> usize {
        let hash = self.hasher.hash_one(text);
        usize::try_from(hash % clocks as u64).unwrap_or_default()
    }
}

/// Each entry lives for its own time.
struct ByTime;

impl Expiry<String, Arc<Kept>> for ByTime {
    fn expire_after_create(&self, _: &String, kept: &Arc<Kept>, _: Instant) -> Option<Duration> {
        Some(kept.time)
    }

    fn expire_after_update(
        &self,
        _: &String,
        kept: &Arc<Kept>,
        _: Instant,
        _: Option<Duration>,
    ) -> Option<Duration> {
        Some(kept.time)
    }
}

fn lock(clock: &Mutex<u64>) -> MutexGuard<'_, u64> {
    clock.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONG: Duration = Duration::from_mins(1);

    fn live() -> Arc<Tier> {
        let tier = Arc::new(Tier::new(1 << 20));
        assert!(tier.go_live(&BTreeSet::new()));
        tier
    }

    fn keep(tier: &Arc<Tier>, key: &str, tags: &[String]) {
        let fetch = tier.begin(key, tags).unwrap();
        fetch.keep(Bytes::from_static(b"1"), LONG);
    }

    #[test]
    fn what_is_kept_goes_with_a_notice_of_its_key_or_its_tag() {
        let tier = live();
        let tags = ["p:%tag:org%3A1".to_owned()];
        keep(&tier, "a", &[]);
        keep(&tier, "b", &tags);
        assert!(tier.get("a").is_some() && tier.get("b").is_some());
        tier.notice("a");
        assert!(tier.get("a").is_none() && tier.get("b").is_some());
        tier.notice(&tags[0]);
        assert!(tier.get("b").is_none());
    }

    #[test]
    fn a_read_that_a_notice_overtakes_is_not_kept() {
        let tier = live();
        let tags = ["%tag:t".to_owned()];
        let (by_key, by_tag) = (
            tier.begin("a", &[]).unwrap(),
            tier.begin("b", &tags).unwrap(),
        );
        let cleared = tier.begin("c", &[]).unwrap();
        tier.notice("a");
        tier.notice("%tag:t");
        by_key.keep(Bytes::from_static(b"1"), LONG);
        by_tag.keep(Bytes::from_static(b"1"), LONG);
        tier.clear();
        cleared.keep(Bytes::from_static(b"1"), LONG);
        assert!(["a", "b", "c"].iter().all(|key| tier.get(key).is_none()));
    }

    #[test]
    fn nothing_is_served_or_read_while_changes_go_untold() {
        let tier = live();
        keep(&tier, "a", &[]);
        assert!(tier.go_dark("reconnected"));
        assert!(tier.get("a").is_none() && tier.begin("a", &[]).is_none());
        assert!(tier.go_live(&BTreeSet::new()));
        assert!(tier.get("a").is_none());
        // More is wanted than is told of.
        tier.wanted.send_modify(|wanted| {
            wanted.prefixes.insert("user:".to_owned());
        });
        tier.go_dark("reconnected");
        assert!(!tier.go_live(&BTreeSet::new()));
        assert!(tier.begin("a", &[]).is_none());
    }

    #[test]
    fn an_entry_ends_with_its_own_time() {
        let tier = live();
        let fetch = tier.begin("a", &[]).unwrap();
        fetch.keep(Bytes::from_static(b"1"), Duration::from_millis(1));
        let deadline = Instant::now() + LONG;
        while tier.get("a").is_some() {
            assert!(Instant::now() < deadline);
            std::thread::yield_now();
        }
    }
}
