// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! The identity under which a worker holds runs, and the runs that it holds.
//!
//! A worker that lost its lease becomes a new incarnation; whatever the old one still does is fenced.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::identifier::{Epoch, InstanceId, WorkerId, new_uuid};

/// How long a body may go on after it was told that its run is lost.
const LOST_GRACE: Duration = Duration::from_secs(5);

/// The incarnations of a worker; one is current.
pub(super) struct Incarnations(RwLock<Arc<Incarnation>>);

impl Incarnations {
    pub(super) fn new() -> Self {
        Self(RwLock::new(Arc::new(Incarnation::new())))
    }

    pub(super) fn current(&self) -> Arc<Incarnation> {
        Arc::clone(&self.0.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Begins a new incarnation and tells the runs of the old one that they are lost.
    pub(super) fn renew(&self) -> (Arc<Incarnation>, Arc<Incarnation>) {
        let new = Arc::new(Incarnation::new());
        let old = {
            let mut current = self.0.write().unwrap_or_else(PoisonError::into_inner);
            std::mem::replace(&mut *current, Arc::clone(&new))
        };
        old.lost.cancel();
        let lost = Arc::clone(&old);
        tokio::spawn(async move {
            tokio::time::sleep(LOST_GRACE).await;
            lost.abandon.cancel();
        });
        (old, new)
    }
}

/// One identity in the table of workers.
pub(super) struct Incarnation {
    pub(super) worker_id: WorkerId,
    lost: CancellationToken,
    abandon: CancellationToken,
    held: Mutex<HashMap<InstanceId, (Epoch, RunTokens)>>,
}

/// How a run that is held here is reached.
#[derive(Debug, Clone)]
pub(super) struct RunTokens {
    /// The body is told, and may end by itself.
    pub(super) told: CancellationToken,
    /// The body is dropped.
    pub(super) abandoned: CancellationToken,
}

impl Incarnation {
    fn new() -> Self {
        Self {
            worker_id: WorkerId(new_uuid()),
            lost: CancellationToken::new(),
            abandon: CancellationToken::new(),
            held: Mutex::default(),
        }
    }

    /// Whether another worker may own what this incarnation held.
    pub(super) fn is_lost(&self) -> bool {
        self.lost.is_cancelled()
    }

    /// Notes that a run is held. Forget it with [`release`](Self::release).
    pub(super) fn hold(&self, instance: InstanceId, epoch: Epoch) -> RunTokens {
        let tokens = RunTokens {
            told: self.lost.child_token(),
            abandoned: self.abandon.child_token(),
        };
        self.held().insert(instance, (epoch, tokens.clone()));
        tokens
    }

    pub(super) fn release(&self, instance: InstanceId, epoch: Epoch) {
        let mut held = self.held();
        if held
            .get(&instance)
            .is_some_and(|(known, _)| *known == epoch)
        {
            held.remove(&instance);
        }
    }

    /// The runs that are held now, and under which epochs.
    pub(super) fn holdings(&self) -> Vec<(InstanceId, Epoch)> {
        let held = self.held();
        held.iter()
            .map(|(run, (epoch, _))| (*run, *epoch))
            .collect()
    }

    /// Tells a run that its cancellation was asked for.
    pub(super) fn tell(&self, instance: InstanceId) {
        if let Some((_, tokens)) = self.held().get(&instance) {
            tokens.told.cancel();
        }
    }

    /// Drops the body of a run whose grace period is over.
    pub(super) fn abandon(&self, instance: InstanceId) {
        if let Some((_, tokens)) = self.held().get(&instance) {
            tokens.told.cancel();
            tokens.abandoned.cancel();
        }
    }

    /// Tells all runs and drops their bodies at once.
    pub(super) fn tell_and_abandon(&self) {
        self.lost.cancel();
        self.abandon.cancel();
    }

    fn held(&self) -> std::sync::MutexGuard<'_, HashMap<InstanceId, (Epoch, RunTokens)>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
