// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! The lease under which a value is loaded: a token in the store that ends with its holder.
//!
//! It is taken whatever `single_flight` says, since it also keeps a load that a delete overtook from
//! putting an old value back. Only `"cluster"` waits for the lease of another process; that is done by
//! one call of each process, which asks now and then and holds no connection.

use std::convert::Infallible;
use std::future::pending;
use std::time::Duration;

use fred::bytes::Bytes;
use tokio::time::{Instant, sleep};

use super::policy::{Policy, SingleFlight};
use super::site::Site;
use crate::cache::Cache;
use crate::error::CacheError;
use crate::store::Taken;

/// The first pause between two questions for a lease, which doubles up to the second.
const PAUSE_MIN: Duration = Duration::from_millis(5);
const PAUSE_MAX: Duration = Duration::from_millis(50);

/// How long a load that was given up may hold up those that wait for it, to end its lease.
const RELEASE_LIMIT: Duration = Duration::from_millis(250);

/// What came of asking for the lease of a value.
pub(super) enum Asked {
    /// The caller is to load.
    Mine(Lease),
    /// Another one loads, and stores what it loads.
    Elsewhere,
    /// The value is there, with what is left of its key's time.
    Found(Bytes, Option<Duration>),
}

/// A lease that is held.
pub(super) struct Lease {
    cache: Cache,
    key: String,
    token: String,
}

/// Asks for the lease, and with `"cluster"` waits while another process has it.
///
/// A load inside of another load waits no longer than a lease: its turn may never come, where the other
/// process waits for the outer one.
pub(super) async fn ask(site: Site<'_>, force: bool, is_nested: bool) -> Result<Asked, CacheError> {
    let waits = site.policy.single_flight == SingleFlight::Cluster;
    let deadline = is_nested.then(|| Instant::now() + site.policy.lease);
    let mut pause = PAUSE_MIN;
    loop {
        let remaining = match ask_once(site, force).await? {
            Ok(asked) => return Ok(asked),
            Err(remaining) => remaining,
        };
        let is_over = deadline.is_some_and(|deadline| Instant::now() >= deadline);
        if !waits || is_over {
            return Ok(Asked::Elsewhere);
        }
        // Apart from the other processes, and not past the end of the lease.
        let apart = pause.mul_f64(0.5 + fastrand::f64());
        sleep(apart.min(remaining).max(Duration::from_millis(1))).await;
        pause = (pause * 2).min(PAUSE_MAX);
    }
}

/// Asks for the lease; the inner error is how long another one holds it.
pub(super) async fn ask_once(
    site: Site<'_>,
    force: bool,
) -> Result<Result<Asked, Duration>, CacheError> {
    let token = format!("{:032x}", fastrand::u128(..));
    let store = site.cache.store();
    let answer = store
        .take_lease(site.key, &token, site.policy.lease, force)
        .await?;
    Ok(match answer {
        Taken::Mine => Ok(Asked::Mine(Lease {
            cache: site.cache.clone(),
            key: site.key.to_owned(),
            token,
        })),
        Taken::Value(stored, left) => Ok(Asked::Found(stored, left)),
        Taken::Other { remaining } => Err(remaining),
    })
}

impl Lease {
    /// Renews the lease as long as it is polled. One that is lost is not renewed: its holder goes on,
    /// and what it loads is not stored.
    pub(super) async fn renew(&self, policy: &Policy) -> Infallible {
        loop {
            sleep(policy.renewal()).await;
            let store = self.cache.store();
            let renewed = store
                .renew_lease(&self.key, &self.token, policy.lease)
                .await;
            // After an outage the lease may still be there.
            if matches!(renewed, Ok(false)) {
                pending::<()>().await;
            }
        }
    }

    /// Stores what was loaded, and ends the lease. Whether it was still held.
    pub(super) async fn fill(self, value: Bytes, time: Duration) -> Result<bool, CacheError> {
        let store = self.cache.store();
        let filled = store.fill(&self.key, &self.token, value, time).await;
        if filled.is_err() {
            // What was too large, say: the next one need not wait for the end.
            self.release().await;
        }
        filled
    }

    /// Ends the lease. Where Redis does not answer, it ends by itself.
    pub(super) async fn release(self) {
        let released = self.cache.store().release_lease(&self.key, &self.token);
        if let Ok(Err(error)) = tokio::time::timeout(RELEASE_LIMIT, released).await {
            tracing::debug!(%error, "cannot end the lease of a load");
        }
    }
}
