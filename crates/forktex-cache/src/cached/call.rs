// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! One call of a cached function.

use tokio::sync::SemaphorePermit;
use tokio::time::Instant;

use super::early;
use super::flight::{Answer, Landing, Lead, RefreshTurn, Turn};
use super::kind::{Kind, View};
use super::lead::{self, Hold, Leader, Seen};
use super::loader::{Loader, Refresh};
use super::nesting::Nesting;
use super::policy::{Policy, SingleFlight};
use super::site::{Found, Look, Site, Tags};
use crate::cache::Cache;
use crate::error::{CacheError, KeyError};
use crate::key::Key;
use crate::telemetry;

/// Answers a call: with what is kept under `key`, or with what `loader` loads.
///
/// `refuse` makes the answer where the cache cannot be used; without it the value is loaded then.
pub async fn call<K, L>(
    policy: &'static Policy,
    cache: &Cache,
    key: Result<Key, KeyError>,
    tags: Vec<String>,
    _: K,
    refuse: Option<fn(CacheError) -> K::Output>,
    loader: L,
) -> K::Output
where
    K: Kind,
    L: Loader<K>,
{
    let key = match key {
        Ok(key) => key,
        Err(error) => return without_key::<K, L>(&error, refuse, loader).await,
    };
    let full_key = cache.full_key(&key);
    let no_tags = Tags::default();
    let site = Site {
        policy,
        cache,
        namespace: key.namespace(),
        key: &full_key,
        tags: &no_tags,
    };
    if policy.local.is_some()
        && let Some(payload) = cache.local().get(&full_key)
        && let Some(output) = site.decode::<K>(&payload)
    {
        site.answered("local");
        return output;
    }
    let tags = match Tags::new(cache, tags) {
        Ok(tags) => tags,
        Err(error) => return without_key::<K, L>(&error, refuse, loader).await,
    };
    let site = Site {
        tags: &tags,
        ..site
    };
    Call { site, refuse }.answer(loader).await
}

/// A value that has no key, since a part of it is empty, say, is loaded and not kept.
async fn without_key<K, L>(
    error: &KeyError,
    refuse: Option<fn(CacheError) -> K::Output>,
    loader: L,
) -> K::Output
where
    K: Kind,
    L: Loader<K>,
{
    if let Some(refuse) = refuse {
        return refuse(error.clone().into());
    }
    tracing::warn!(%error, "a cached function goes on without its cache");
    loader.load().await
}

struct Call<'a, K: Kind> {
    site: Site<'a>,
    refuse: Option<fn(CacheError) -> K::Output>,
}

/// What a call knows that found nothing fresh.
struct Missed<K: Kind> {
    fallback: Option<K::Output>,
    is_occupied: bool,
    is_outage: bool,
}

impl<'a, K: Kind> Call<'a, K> {
    async fn answer<L: Loader<K>>(self, loader: L) -> K::Output {
        let site = self.site;
        let mut missed = Missed {
            fallback: None,
            is_occupied: false,
            is_outage: false,
        };
        match site.look().await {
            Ok(Look::Fresh(found)) => {
                if let Some(output) = site.decode::<K>(&found.payload) {
                    return self.fresh(output, found, loader).await;
                }
                missed.is_occupied = true;
            }
            Ok(Look::Stale(found)) => {
                if let Some(output) = site.decode::<K>(&found.payload) {
                    site.answered("stale");
                    return self.refresh(output, &found, loader).await;
                }
                missed.is_occupied = true;
            }
            Ok(Look::Fallback(found)) => {
                missed.fallback = site.decode::<K>(&found.payload);
                missed.is_occupied = true;
            }
            Ok(Look::Miss { is_occupied }) => missed.is_occupied = is_occupied,
            Err(error) => {
                site.complain(&error);
                if let Some(refuse) = self.refuse {
                    site.answered("failed");
                    return refuse(error);
                }
                missed.is_outage = true;
            }
        }
        // On the heap, so that the future of a hit is small.
        Box::pin(self.load(missed, loader)).await
    }

    /// Answers with a fresh value, and perhaps has it loaded anew before its time is over.
    async fn fresh<L: Loader<K>>(self, output: K::Output, found: Found, loader: L) -> K::Output {
        let site = self.site;
        site.answered("hit");
        let is_early = match (site.policy.early, found.left) {
            (Some(factor), Some(left)) => early::is_due(found.load, factor, left),
            _ => false,
        };
        if is_early {
            return self.refresh(output, &found, loader).await;
        }
        if let Some(time) = site.policy.local {
            found.keep_locally(time);
        }
        output
    }

    /// Has the value loaded anew: by a task, or by this call where the body borrows from it.
    async fn refresh<L: Loader<K>>(self, output: K::Output, found: &Found, loader: L) -> K::Output {
        let site = self.site;
        // One inside of its own load has the flight that loads the value around it.
        if Nesting::current().is_loading(site.key) {
            return output;
        }
        let Some(turn) = site.cache.flights().begin_refresh(site.key) else {
            return output;
        };
        let refresh = Refresh {
            site: site.to_owned(),
            seen: Seen(found.left.unwrap_or_default()),
            turn,
        };
        match loader.refresh(refresh) {
            None => output,
            Some((loader, Refresh { seen, turn, .. })) => {
                let load = loader.load();
                let fresh = Box::pin(refresh_in_line::<K, L::Load>(site, seen, turn, load)).await;
                fresh.unwrap_or(output)
            }
        }
    }

    /// Loads, or waits for the call that does.
    async fn load<L: Loader<K>>(self, missed: Missed<K>, loader: L) -> K::Output {
        let site = self.site;
        let nesting = Nesting::current();
        if nesting.is_loading(site.key) {
            return self.alone(loader).await;
        }
        if site.policy.single_flight == SingleFlight::Off {
            return self.lead(None, nesting, missed, None, loader).await;
        }
        loop {
            let wait = match site.cache.flights().board(site.key) {
                Turn::Lead(flight) => {
                    return self.lead(Some(flight), nesting, missed, None, loader).await;
                }
                Turn::Wait(wait) => wait,
            };
            let payload = match wait.landing(site.policy.lease, &nesting).await {
                Landing::Landed(Answer::Value(payload)) => Some(payload),
                Landing::Landed(Answer::Nothing) => None,
                Landing::Landed(Answer::Failed) => {
                    return self.load_after_failure(nesting, missed, loader).await;
                }
                Landing::Abandoned => continue,
                Landing::Circular => return self.alone(loader).await,
            };
            let payload = payload.unwrap_or_default();
            return match site.decode::<K>(&payload) {
                Some(output) => {
                    site.answered("shared");
                    output
                }
                None => self.load_after_failure(nesting, missed, loader).await,
            };
        }
    }

    /// Loads for itself, since what another one loaded cannot be had; a few at a time.
    async fn load_after_failure<L: Loader<K>>(
        self,
        nesting: Nesting,
        missed: Missed<K>,
        loader: L,
    ) -> K::Output {
        let site = self.site;
        if let Some(fallback) = missed.fallback {
            site.answered("stale_if_error");
            return fallback;
        }
        let place = if nesting.is_bounded() {
            None
        } else {
            site.cache.load_bound().place().await
        };
        self.lead(None, nesting, missed, place, loader).await
    }

    async fn lead<L: Loader<K>>(
        self,
        flight: Option<Lead>,
        nesting: Nesting,
        missed: Missed<K>,
        place: Option<SemaphorePermit<'a>>,
        loader: L,
    ) -> K::Output {
        let leads: Leader<'_, K> = Leader {
            site: self.site,
            nesting,
            refuse: self.refuse,
            is_occupied: missed.is_occupied,
            is_outage: missed.is_outage,
            fallback: missed.fallback,
            place,
            hold: Hold::of(flight),
        };
        leads.lead(|| loader.load()).await
    }

    /// Loads without a flight: to wait for one would be to wait for itself.
    async fn alone<L: Loader<K>>(self, loader: L) -> K::Output {
        let began = Instant::now();
        let output = loader.load().await;
        let is_failed = matches!(K::view(&output), View::Failed);
        let (load, call) = if is_failed {
            ("error", "failed")
        } else {
            ("ok", "loaded")
        };
        telemetry::loaded(self.site.namespace, load, began.elapsed());
        self.site.answered(call);
        output
    }
}

async fn refresh_in_line<K, F>(
    site: Site<'_>,
    seen: Seen,
    turn: RefreshTurn,
    load: F,
) -> Option<K::Output>
where
    K: Kind,
    F: Future<Output = K::Output>,
{
    let fresh = lead::refresh::<K, F>(site, seen, load).await;
    drop(turn);
    fresh
}
