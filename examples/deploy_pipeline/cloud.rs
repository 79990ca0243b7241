// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! A pretended cloud: it takes its time, and answers one idempotency key with one server.
//!
//! A service has its provider's client in this place. This one talks to nobody.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use crate::deploy::Manifest;

/// The client that steps take as `Resource<Cloud>`.
#[derive(Debug)]
pub(crate) struct Cloud {
    pace: Pace,
    /// Server by idempotency key.
    servers: Mutex<HashMap<String, String>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Pace {
    /// Slow enough to be watched.
    Watchable,
    #[cfg(test)]
    Instant,
}

/// Why the cloud refused.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CloudError {
    /// The server lets nobody in yet.
    #[error("server {server_id} is still booting")]
    Booting { server_id: String },
    /// The server's name would be empty.
    #[error("the manifest names no application")]
    NoApplication,
}

impl Cloud {
    pub(crate) fn new() -> Self {
        Self::with_pace(Pace::Watchable)
    }

    /// For unit tests.
    #[cfg(test)]
    pub(crate) fn instant() -> Self {
        Self::with_pace(Pace::Instant)
    }

    fn with_pace(pace: Pace) -> Self {
        Self {
            pace,
            servers: Mutex::default(),
        }
    }

    /// Makes a server, once for each key, and gives its identifier.
    pub(crate) async fn create(
        &self,
        manifest: &Manifest,
        idempotency_key: &str,
    ) -> Result<String, CloudError> {
        if manifest.application.is_empty() {
            return Err(CloudError::NoApplication);
        }
        self.take(900).await;
        let mut servers = self.servers.lock().unwrap_or_else(PoisonError::into_inner);
        let number = servers.len() + 1;
        let server_id = servers
            .entry(idempotency_key.to_owned())
            .or_insert_with(|| format!("srv-{}-{number}", manifest.application));
        Ok(server_id.clone())
    }

    /// How many servers there are.
    #[cfg(test)]
    pub(crate) fn servers(&self) -> usize {
        self.servers
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .len()
    }

    pub(crate) async fn log_in(&self) {
        self.take(400).await;
    }

    pub(crate) async fn install(&self) {
        self.take(500).await;
    }

    pub(crate) async fn point(&self, _address: &str, _server_id: &str) {
        self.take(500).await;
    }

    pub(crate) async fn look_up(&self, _address: &str) {
        self.take(400).await;
    }

    /// The slowest: it leaves time to kill its process.
    pub(crate) async fn shake_hands(&self, _address: &str) {
        self.take(2_000).await;
    }

    pub(crate) async fn ping(&self, _server_id: &str) {
        self.take(500).await;
    }

    async fn take(&self, milliseconds: u64) {
        if self.pace == Pace::Watchable {
            tokio::time::sleep(Duration::from_millis(milliseconds)).await;
        }
    }
}
