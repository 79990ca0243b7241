// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! One value of a cached function: where it is kept, and what is to be made of what is found there.

use std::time::Duration;

use fred::bytes::Bytes;

use super::early::jittered;
use super::kind::Kind;
use super::policy::Policy;
use crate::cache::Cache;
use crate::envelope::{Envelope, Header, seal};
use crate::error::{CacheError, KeyError};
use crate::local::Fetch;
use crate::namespace::Namespace;
use crate::telemetry;

/// Where a value is kept. Cheap to copy.
#[derive(Clone, Copy)]
pub(super) struct Site<'a> {
    pub(super) policy: &'static Policy,
    pub(super) cache: &'a Cache,
    pub(super) namespace: &'a Namespace,
    /// With the prefix of the cache.
    pub(super) key: &'a str,
    pub(super) tags: &'a Tags,
}

/// Tags, each with the generation that a value is stored under.
pub(super) type Generations = Vec<(String, String)>;

/// The tags of a value: their names, as they are stored with it, and the keys of their generations.
#[derive(Clone, Debug, Default)]
pub(super) struct Tags {
    pub(super) names: Vec<String>,
    pub(super) keys: Vec<String>,
}

impl Tags {
    pub(super) fn new(cache: &Cache, mut names: Vec<String>) -> Result<Self, KeyError> {
        names.sort_unstable();
        names.dedup();
        let keys = names.iter().map(|name| cache.tag_key(name));
        let keys = keys.collect::<Result<_, _>>()?;
        Ok(Self { names, keys })
    }
}

/// The same, for a task that outlives the call.
pub(super) struct OwnedSite {
    policy: &'static Policy,
    cache: Cache,
    namespace: Namespace,
    key: String,
    tags: Tags,
}

impl OwnedSite {
    pub(super) fn site(&self) -> Site<'_> {
        Site {
            policy: self.policy,
            cache: &self.cache,
            namespace: &self.namespace,
            key: &self.key,
            tags: &self.tags,
        }
    }
}

/// What is kept of a value.
pub(super) enum Look {
    /// A value that is as good as loaded.
    Fresh(Found),
    /// One that may be served while it is loaded anew.
    Stale(Found),
    /// One that may be served where loading fails.
    Fallback(Found),
    /// Nothing of use.
    Miss {
        /// Whether the key holds something all the same.
        is_occupied: bool,
    },
}

/// A value that was found.
pub(super) struct Found {
    /// Its JSON; empty where it says that there is nothing.
    pub(super) payload: Bytes,
    /// How much longer it is fresh, where that is limited and known.
    pub(super) left: Option<Duration>,
    /// How long it took to load, where that was stored.
    pub(super) load: Duration,
    fetch: Option<Fetch>,
}

impl Found {
    /// Keeps the value in this process, at most for `time`.
    pub(super) fn keep_locally(self, time: Duration) {
        if let Some(fetch) = self.fetch {
            let time = self.left.map_or(time, |left| left.min(time));
            fetch.keep(self.payload, time);
        }
    }
}

impl Site<'_> {
    pub(super) fn to_owned(self) -> OwnedSite {
        OwnedSite {
            policy: self.policy,
            cache: self.cache.clone(),
            namespace: self.namespace.clone(),
            key: self.key.to_owned(),
            tags: self.tags.clone(),
        }
    }

    /// Looks for the value. One round trip; more where the value has tags that the call does not have.
    pub(super) async fn look(self) -> Result<Look, CacheError> {
        let store = self.cache.store();
        // Before the value is asked for, so that a notice which overtakes the answer is not lost.
        let fetch = match self.policy.local {
            Some(_) => {
                self.cache
                    .local()
                    .begin(self.cache, self.namespace, self.key, &self.tags.keys)
            }
            None => None,
        };
        let value = async {
            if self.policy.needs_time() {
                return store.get_with_ttl(self.key).await;
            }
            let value = store.get(self.key).await?;
            Ok(value.map(|stored| (stored, None)))
        };
        let (value, generations) = tokio::join!(value, self.generations());
        let Some((stored, key_left)) = value? else {
            return Ok(Look::Miss { is_occupied: false });
        };
        let generations = generations?;
        if key_left.is_none() && !self.policy.needs_time() && has_extents(&stored) {
            // It was stored under another policy, and may be stale.
            return match store.get_with_ttl(self.key).await? {
                Some((stored, left)) => self.judge(stored, left, &generations, fetch).await,
                None => Ok(Look::Miss { is_occupied: false }),
            };
        }
        self.judge(stored, key_left, &generations, fetch).await
    }

    /// What to make of a stored value that came from elsewhere than [`look`](Self::look).
    pub(super) async fn judge_stored(
        self,
        stored: Bytes,
        key_left: Option<Duration>,
    ) -> Result<Look, CacheError> {
        let generations = self.generations().await?;
        self.judge(stored, key_left, &generations, None).await
    }

    /// The present generations of the call's tags.
    async fn generations(self) -> Result<Vec<Option<String>>, CacheError> {
        if self.tags.keys.is_empty() {
            return Ok(Vec::new());
        }
        self.cache.store().generations(&self.tags.keys).await
    }

    async fn judge(
        self,
        stored: Bytes,
        key_left: Option<Duration>,
        generations: &[Option<String>],
        fetch: Option<Fetch>,
    ) -> Result<Look, CacheError> {
        let occupied = Look::Miss { is_occupied: true };
        let Some(envelope) = Envelope::open(stored) else {
            self.misfit();
            return Ok(occupied);
        };
        let (mine, others) = self.sort_tags(envelope.generations());
        let is_mine_current = mine.len() == self.tags.names.len()
            && mine.iter().all(|(position, then)| {
                let now = generations.get(*position).and_then(Option::as_ref);
                now == Some(then)
            });
        if !is_mine_current || !self.cache.is_current(&others).await? {
            return Ok(occupied);
        }
        let header = envelope.header.unwrap_or_default();
        let mut found = Found {
            payload: envelope.payload,
            left: None,
            load: Duration::from_micros(header.load_us),
            // The notices of other tags would not be seen.
            fetch: fetch.filter(|_| others.is_empty()),
        };
        let Some(key_left) = key_left else {
            return Ok(Look::Fresh(found));
        };
        let fresh_left = header.fresh_left(key_left);
        if !fresh_left.is_zero() {
            found.left = Some(fresh_left);
            return Ok(Look::Fresh(found));
        }
        found.left = Some(Duration::ZERO);
        let age = header.extents().saturating_sub(key_left);
        Ok(if age < self.policy.stale {
            Look::Stale(found)
        } else if age < self.policy.stale + self.policy.stale_if_error {
            Look::Fallback(found)
        } else {
            occupied
        })
    }

    /// The stored generations of the call's tags, by their place, and those of others.
    fn sort_tags(self, stored: &[(String, String)]) -> (Vec<(usize, String)>, Generations) {
        let (mut mine, mut others) = (Vec::new(), Vec::new());
        for (tag, generation) in stored {
            match self.tags.names.iter().position(|name| name == tag) {
                Some(position) => mine.push((position, generation.clone())),
                None => others.push((tag.clone(), generation.clone())),
            }
        }
        (mine, others)
    }

    /// The generations to store the value under, by the names of the tags; to be asked for before it is
    /// loaded, so that what is invalidated meanwhile is stale from the start.
    pub(super) async fn ensure_generations(self) -> Result<Generations, CacheError> {
        if self.tags.keys.is_empty() {
            return Ok(Vec::new());
        }
        let generations = self
            .cache
            .store()
            .ensure_generations(&self.tags.keys)
            .await?;
        Ok(self.tags.names.iter().cloned().zip(generations).collect())
    }

    /// The stored form of a value, and how long it is to be kept.
    pub(super) fn seal(
        self,
        payload: Bytes,
        load: Duration,
        generations: Generations,
    ) -> (Bytes, Duration) {
        let policy = self.policy;
        let fresh = jittered(policy.ttl, policy.jitter);
        if !policy.stores_times() && generations.is_empty() {
            return (payload, fresh);
        }
        let header = Header {
            fresh_ms: milliseconds(fresh),
            stale_ms: milliseconds(policy.stale),
            stale_if_error_ms: milliseconds(policy.stale_if_error),
            load_us: u64::try_from(load.as_micros()).unwrap_or(u64::MAX),
            generations,
        };
        let time = fresh + policy.stale + policy.stale_if_error;
        (seal(&header, &payload), time)
    }

    /// The stored form of there being nothing, and how long that is to be kept.
    pub(super) fn seal_nothing(
        self,
        time: Duration,
        generations: Generations,
    ) -> (Bytes, Duration) {
        let fresh = jittered(time, self.policy.jitter);
        let header = Header {
            fresh_ms: milliseconds(fresh),
            generations,
            ..Header::default()
        };
        // `null` could be a value.
        (seal(&header, &[]), fresh)
    }

    /// Reads a value; `None` where it does not fit the type.
    pub(super) fn decode<K: Kind>(self, payload: &[u8]) -> Option<K::Output> {
        let value = match payload {
            [] => None,
            json => {
                let value = serde_json::from_slice(json);
                if value.is_err() {
                    self.misfit();
                }
                Some(value.ok()?)
            }
        };
        let answer = K::answer(value);
        if answer.is_none() {
            self.misfit();
        }
        answer
    }

    /// Counts how the call was answered.
    pub(super) fn answered(self, outcome: &'static str) {
        telemetry::call_answered(self.namespace, outcome);
    }

    /// Tells of a failure of the cache that the call goes on without. One that is no outage is told
    /// aloud, once: it will not go by itself.
    pub(super) fn complain(self, error: &CacheError) {
        let namespace = self.namespace.name();
        let complaint = format!("{namespace}: {:?}", std::mem::discriminant(error));
        if !error.is_outage() && self.cache.flights().is_first(&complaint) {
            tracing::warn!(
                namespace,
                %error,
                "a cached function goes on without its cache; this is told once"
            );
        } else {
            tracing::debug!(namespace, %error, "a cached function goes on without its cache");
        }
    }

    /// Tells of a stored value that does not fit; once for each namespace.
    fn misfit(self) {
        let namespace = self.namespace.name();
        telemetry::misfit(self.namespace);
        if self
            .cache
            .flights()
            .is_first(&format!("{namespace}: misfit"))
        {
            tracing::warn!(
                namespace,
                "a stored value does not fit the type of its function and is loaded anew; give the \
                 function a new `version` when its type changes; this is told once"
            );
        }
    }
}

/// Whether a value is kept for longer than it is fresh.
fn has_extents(stored: &Bytes) -> bool {
    Envelope::open(stored.clone())
        .and_then(|envelope| envelope.header)
        .is_some_and(|header| !header.extents().is_zero())
}

/// Whole milliseconds; a fraction counts as a whole one, as it does when the key's time is set.
fn milliseconds(time: Duration) -> u64 {
    u64::try_from(crate::duration::milliseconds(time)).unwrap_or_default()
}
