// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! A bucket in the memory of this process. Nothing can be signed for it: no client can reach it.

use std::sync::Arc;

use object_store::ObjectStore;
use object_store::memory::InMemory;

/// A bucket in memory.
pub(crate) struct MemoryBackend {
    pub(crate) store: Arc<dyn ObjectStore>,
}

impl MemoryBackend {
    /// An empty bucket.
    pub(crate) fn new() -> Self {
        Self {
            store: Arc::new(InMemory::new()),
        }
    }
}
