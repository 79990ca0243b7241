// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! What cached functions load from: it counts, waits at a gate, and fails when it is told to.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use forktex_cache::CacheError;
use tokio::sync::Semaphore;

use crate::setup::eventually;

/// How often bodies ran, a gate that they wait at, and whether they fail.
#[derive(Clone, Default)]
pub(crate) struct Origin(Arc<Inside>);

#[derive(Default)]
struct Inside {
    loads: AtomicUsize,
    fails: AtomicBool,
    gate: Option<Semaphore>,
}

impl Origin {
    /// One whose bodies wait until they are let through.
    pub(crate) fn gated() -> Self {
        Self(Arc::new(Inside {
            gate: Some(Semaphore::new(0)),
            ..Inside::default()
        }))
    }

    pub(crate) fn open(&self, bodies: usize) {
        self.0.gate.as_ref().unwrap().add_permits(bodies);
    }

    pub(crate) fn fail(&self, fails: bool) {
        self.0.fails.store(fails, Ordering::SeqCst);
    }

    pub(crate) fn loads(&self) -> usize {
        self.0.loads.load(Ordering::SeqCst)
    }

    /// The number of this load.
    pub(crate) async fn load(&self) -> Result<usize, Broken> {
        let number = self.0.loads.fetch_add(1, Ordering::SeqCst) + 1;
        if let Some(gate) = &self.0.gate {
            gate.acquire().await.unwrap().forget();
        }
        if self.0.fails.load(Ordering::SeqCst) {
            return Err(Broken::Origin);
        }
        Ok(number)
    }

    pub(crate) async fn loaded(&self, count: usize) {
        eventually("a body runs", async || self.loads() >= count).await;
    }
}

#[derive(Debug, PartialEq)]
pub(crate) enum Broken {
    Origin,
    Cache(bool),
    Key,
}

impl From<CacheError> for Broken {
    fn from(error: CacheError) -> Self {
        match error {
            CacheError::Key(_) => Self::Key,
            error => Self::Cache(error.is_outage()),
        }
    }
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

impl std::error::Error for Broken {}
