// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! A provider of servers that lives in memory. To copy: put a client in its place.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};

use crate::deploy::{Health, Manifest};

/// What an image takes.
const MEMORY_MIB_NEEDED: u32 = 512;

#[derive(Clone, Debug, Default)]
pub(crate) struct Cloud(Arc<Mutex<BTreeSet<String>>>);

impl Cloud {
    /// Makes a server, or finds the one that this key has made before.
    pub(crate) fn create(&self, idempotency_key: &str) -> String {
        let id = format!("server-{idempotency_key}");
        self.servers(|servers| servers.insert(id.clone()));
        id
    }

    #[expect(clippy::unused_self, reason = "a client would ask the provider")]
    pub(crate) fn configure(&self, _server: &str, manifest: &Manifest) -> Health {
        if manifest.image.ends_with(":broken") {
            Health::Broken
        } else if manifest.memory_mib < MEMORY_MIB_NEEDED {
            Health::OutOfMemory
        } else {
            Health::Healthy
        }
    }

    pub(crate) fn destroy(&self, server: &str) {
        self.servers(|servers| servers.remove(server));
    }

    /// How many servers there are.
    pub(crate) fn count(&self) -> usize {
        self.servers(|servers| servers.len())
    }

    fn servers<T>(&self, change: impl FnOnce(&mut BTreeSet<String>) -> T) -> T {
        change(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
