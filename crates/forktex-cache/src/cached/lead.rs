// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! Loading a value for all: under its lease, with the answer told to those that wait, and kept.

use std::time::Duration;

use fred::bytes::Bytes;
use tokio::runtime::Handle;
use tokio::sync::SemaphorePermit;
use tokio::time::Instant;

use super::flight::{self, Answer};
use super::kind::{Kind, View};
use super::lease::{self, Asked, Lease};
use super::nesting::Nesting;
use super::site::{Generations, Look, Site};
use crate::error::CacheError;
use crate::telemetry;

/// A call that found nothing fresh, and loads.
pub(super) struct Leader<'a, K: Kind> {
    pub(super) site: Site<'a>,
    pub(super) nesting: Nesting,
    pub(super) refuse: Option<fn(CacheError) -> K::Output>,
    /// Whether the key holds something that is to be replaced.
    pub(super) is_occupied: bool,
    /// Whether the store is out of reach, so that nothing is asked of it.
    pub(super) is_outage: bool,
    /// What is answered where loading fails.
    pub(super) fallback: Option<K::Output>,
    /// The place that it loads in, where it has one already.
    pub(super) place: Option<SemaphorePermit<'a>>,
    pub(super) hold: Hold,
}

/// What a load holds. Dropped midway, it ends the lease and then leaves the flight to the others, so
/// that the one which leads next finds the lease free.
pub(super) struct Hold {
    pub(super) flight: Option<flight::Lead>,
    lease: Option<Lease>,
}

impl Hold {
    pub(super) fn of(flight: Option<flight::Lead>) -> Self {
        Self {
            flight,
            lease: None,
        }
    }

    fn land(&self, answer: Answer) {
        if let Some(flight) = &self.flight {
            flight.land(answer);
        }
    }

    async fn release(&mut self) {
        if let Some(lease) = self.lease.take() {
            lease.release().await;
        }
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        let Some(lease) = self.lease.take() else {
            return;
        };
        // At the end of the runtime there is nobody left to wait.
        if let Ok(runtime) = Handle::try_current() {
            let flight = self.flight.take();
            runtime.spawn(async move {
                lease.release().await;
                drop(flight);
            });
        }
    }
}

/// What a load gave, apart from the answer itself, which is not to be held over a pause by reference.
enum Loaded {
    Json(Result<Vec<u8>, serde_json::Error>),
    Nothing,
    Failed,
}

impl<K: Kind> Leader<'_, K> {
    /// Loads, unless another process did meanwhile.
    pub(super) async fn lead<F>(mut self, load: impl FnOnce() -> F) -> K::Output
    where
        F: Future<Output = K::Output>,
    {
        let signs = self.hold.flight.as_ref().map(flight::Lead::signs);
        let period = self.site.policy.renewal();
        let work = async move {
            if let Some(answer) = self.ask().await {
                return answer;
            }
            self.load(load).await
        };
        match signs {
            Some(signs) => signs.during(period, work).await,
            None => work.await,
        }
    }

    /// Takes the lease, or an answer that came meanwhile.
    async fn ask(&mut self) -> Option<K::Output> {
        if self.is_outage {
            return None;
        }
        match self.take_lease().await {
            Ok(answer) => answer,
            Err(error) => {
                self.site.complain(&error);
                self.is_outage = true;
                let refuse = self.refuse?;
                self.hold.land(Answer::Failed);
                self.site.answered("failed");
                Some(refuse(error))
            }
        }
    }

    async fn take_lease(&mut self) -> Result<Option<K::Output>, CacheError> {
        let mut force = self.is_occupied;
        loop {
            match lease::ask(self.site, force, self.nesting.is_nested()).await? {
                Asked::Elsewhere => return Ok(None),
                Asked::Found(stored, left) => {
                    let look = self.site.judge_stored(stored, left).await?;
                    if let Some(answer) = self.take(look) {
                        return Ok(Some(answer));
                    }
                    self.is_occupied = true;
                    force = true;
                }
                Asked::Mine(lease) => {
                    self.hold.lease = Some(lease);
                    // What was to be replaced may have been, before the lease was free.
                    if force && let Some(answer) = self.take(self.site.look().await?) {
                        self.hold.release().await;
                        return Ok(Some(answer));
                    }
                    return Ok(None);
                }
            }
        }
    }

    /// The answer that another one loaded, if it is one.
    fn take(&self, look: Look) -> Option<K::Output> {
        let Look::Fresh(found) = look else {
            return None;
        };
        let answer = self.site.decode::<K>(&found.payload)?;
        self.hold.land(told(found.payload));
        self.site.answered("waited");
        Some(answer)
    }

    async fn load<F>(mut self, load: impl FnOnce() -> F) -> K::Output
    where
        F: Future<Output = K::Output>,
    {
        let is_outage = self.is_outage;
        if is_outage && self.place.is_none() && !self.nesting.is_bounded() {
            self.place = self.site.cache.load_bound().place().await;
        }
        let is_bounded = self.place.is_some();
        let fallback = self.fallback.take();
        let site = self.site;
        let output = self.load_and_keep(load, is_bounded).await;
        let is_failed = matches!(K::view(&output), View::Failed);
        match fallback {
            Some(fallback) if is_failed => {
                site.answered("stale_if_error");
                return fallback;
            }
            _ if is_failed => site.answered("failed"),
            _ if is_outage => site.answered("outage"),
            _ => site.answered("loaded"),
        }
        output
    }

    /// Runs the body, tells the others and keeps the value.
    async fn load_and_keep<F>(mut self, load: impl FnOnce() -> F, is_bounded: bool) -> K::Output
    where
        F: Future<Output = K::Output>,
    {
        let generations = self.generations().await;
        let flight = self.hold.flight.as_ref().map(flight::Lead::id);
        let began = Instant::now();
        let load = self
            .nesting
            .clone()
            .enter(self.site.key, flight, is_bounded, load());
        let output = match &self.hold.lease {
            Some(lease) => tokio::select! {
                biased;
                output = load => output,
                never = lease.renew(self.site.policy) => match never {},
            },
            None => load.await,
        };
        let took = began.elapsed();
        let loaded = match K::view(&output) {
            View::Value(value) => Loaded::Json(serde_json::to_vec(value)),
            View::Nothing => Loaded::Nothing,
            View::Failed => Loaded::Failed,
        };
        let outcome = if matches!(loaded, Loaded::Failed) {
            "error"
        } else {
            "ok"
        };
        telemetry::loaded(self.site.namespace, outcome, took);
        self.keep(loaded, took, generations).await;
        output
    }

    /// The generations to store under. Where they cannot be had, nothing is stored.
    async fn generations(&mut self) -> Generations {
        if self.hold.lease.is_none() {
            return Vec::new();
        }
        match self.site.ensure_generations().await {
            Ok(generations) => generations,
            Err(error) => {
                self.site.complain(&error);
                self.hold.release().await;
                Vec::new()
            }
        }
    }

    async fn keep(&mut self, loaded: Loaded, took: Duration, generations: Generations) {
        let site = self.site;
        // The others are told first, so that they need not wait for the store.
        let (stored, time) = match loaded {
            Loaded::Json(Ok(json)) => {
                let payload = Bytes::from(json);
                self.hold.land(told(payload.clone()));
                site.seal(payload, took, generations)
            }
            Loaded::Json(Err(error)) => {
                site.complain(&CacheError::encode(site.key, &error));
                return self.fail().await;
            }
            Loaded::Nothing => {
                self.hold.land(Answer::Nothing);
                match site.policy.negative_ttl {
                    Some(time) => site.seal_nothing(time, generations),
                    None => return self.clear().await,
                }
            }
            Loaded::Failed => return self.fail().await,
        };
        if let Some(lease) = self.hold.lease.take() {
            match lease.fill(stored, time).await {
                Ok(true) => site.cache.local().forget(site.key),
                Ok(false) => tracing::debug!(
                    namespace = site.namespace.name(),
                    "a loaded value is not stored: its key was deleted, or loaded by another one, meanwhile"
                ),
                Err(error) => site.complain(&error),
            }
        }
    }

    /// There is nothing to tell and to keep. The lease is ended first, so that one of the others finds it
    /// free.
    async fn fail(&mut self) {
        self.hold.release().await;
        self.hold.land(Answer::Failed);
    }

    /// There is nothing, and that is not to be kept: nor is what was there before.
    async fn clear(&mut self) {
        let site = self.site;
        if !self.is_occupied || self.hold.lease.is_none() {
            return self.hold.release().await;
        }
        let cleared = site.cache.store().unlink(&[site.key.to_owned()]).await;
        site.cache.local().forget(site.key);
        match cleared {
            // The lease went with the value.
            Ok(_) => self.hold.lease = None,
            Err(error) => {
                site.complain(&error);
                self.hold.release().await;
            }
        }
    }
}

/// What those that wait are told of a stored payload.
fn told(payload: Bytes) -> Answer {
    if payload.is_empty() {
        Answer::Nothing
    } else {
        Answer::Value(payload)
    }
}

/// How fresh the value was that a refresh is to replace.
#[derive(Clone, Copy, Debug)]
pub(super) struct Seen(pub(super) Duration);

/// Loads a value anew, unless another one does, or did meanwhile. `None` where nothing new came of it.
pub(super) async fn refresh<K, F>(site: Site<'_>, seen: Seen, load: F) -> Option<K::Output>
where
    K: Kind,
    F: Future<Output = K::Output>,
{
    let lease = match lease::ask_once(site, true).await {
        Ok(Ok(Asked::Mine(lease))) => lease,
        Ok(_) => return None,
        Err(error) => {
            site.complain(&error);
            return None;
        }
    };
    let mut hold = Hold {
        flight: None,
        lease: Some(lease),
    };
    // Time only takes away from what is left: more of it is another value.
    let is_replaced = match site.look().await {
        Ok(Look::Fresh(found)) => found.left.is_none_or(|left| left > seen.0),
        Ok(_) => false,
        Err(error) => {
            site.complain(&error);
            true
        }
    };
    if is_replaced {
        hold.release().await;
        return None;
    }
    let leader: Leader<'_, K> = Leader {
        site,
        nesting: Nesting::current(),
        refuse: None,
        is_occupied: true,
        is_outage: false,
        fallback: None,
        place: None,
        hold,
    };
    let output = leader.load_and_keep(|| load, false).await;
    let is_failed = matches!(K::view(&output), View::Failed);
    (!is_failed).then_some(output)
}
