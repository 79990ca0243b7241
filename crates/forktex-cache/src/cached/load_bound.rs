// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! How many loads run at once when the cache is no help: while Redis is out of reach, and after a load
//! that others waited for has failed. Without it, each call would load, and the outage of the cache
//! would become one of the database.

use tokio::sync::{Semaphore, SemaphorePermit};

/// The places for loads, given out in order.
#[derive(Debug)]
pub(crate) struct LoadBound {
    places: Semaphore,
}

impl LoadBound {
    /// At most so many at once; zero counts as one.
    pub(crate) fn new(loads_max: usize) -> Self {
        let places = loads_max.clamp(1, Semaphore::MAX_PERMITS);
        Self {
            places: Semaphore::new(places),
        }
    }

    /// Waits for a place. The semaphore is never closed; if it were, loads would not be bounded.
    pub(crate) async fn place(&self) -> Option<SemaphorePermit<'_>> {
        self.places.acquire().await.ok()
    }
}
