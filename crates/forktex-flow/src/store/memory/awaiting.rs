// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! Waiting by the virtual clock, which goes on while somebody waits.

use time::OffsetDateTime;

use super::MemoryStore;
use super::time::Await;

/// While it lives, the clock goes on over what is waited for.
#[derive(Debug)]
pub(crate) struct Awaiting {
    store: MemoryStore,
    id: u64,
}

impl Drop for Awaiting {
    fn drop(&mut self) {
        self.store.change().awaits.remove(self.id);
    }
}

impl MemoryStore {
    /// Notes that something is waited for.
    pub(crate) fn awaiting(&self, awaited: Await) -> Awaiting {
        let id = self.change().awaits.add(awaited);
        Awaiting {
            store: self.clone(),
            id,
        }
    }

    /// Resolves when the clock shows this time or a later one; without one never.
    pub(crate) async fn until(&self, at: Option<OffsetDateTime>) {
        let Some(at) = at else {
            return std::future::pending().await;
        };
        self.until_it_is_so(|store| store.clock() >= at).await;
    }

    /// Resolves when no worker has anything to do.
    pub(crate) async fn until_idle(&self) {
        self.until_it_is_so(|store| !store.tables().is_busy()).await;
    }

    async fn until_it_is_so(&self, is_so: impl Fn(&Self) -> bool) {
        let mut changes = self.0.changes.subscribe();
        while !is_so(self) {
            // The sender lives as long as the store, which this holds.
            let _ = changes.changed().await;
        }
    }
}
