// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! Waiting for the end of a run.

use std::future::IntoFuture;
use std::marker;
use std::time::Duration;

use futures_util::future::BoxFuture;
use serde::de::DeserializeOwned;

use super::{Access, Run, WAIT_POLL};
use crate::error::{ReadError, WaitError};
use crate::identifier::InstanceId;
use crate::instance::Instance;
use crate::store::memory::time::Await;

/// How often in a row a wait may find the database away before it gives up.
const WAIT_FAILURES_MAX: u32 = 30;

/// Waits for a run; made by [`Run::wait`]. Await it.
#[must_use = "nothing is waited for until this is awaited"]
pub struct Wait<S> {
    run: Run<S>,
    timeout: Option<Duration>,
}

impl<S> Wait<S> {
    pub(super) fn new(run: Run<S>) -> Self {
        Self { run, timeout: None }
    }

    /// Gives up after so long, with the run as it is then in [`WaitError::Timeout`]. In memory the time
    /// is that of the virtual clock.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout);
        self
    }
}

impl<S: DeserializeOwned + marker::Send + 'static> IntoFuture for Wait<S> {
    type Output = Result<Instance<S>, WaitError<S>>;
    type IntoFuture = BoxFuture<'static, Self::Output>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(async move {
            let ended = within(
                &self.run.access,
                self.run.instance_id,
                self.timeout,
                self.run.ended(),
            );
            if let Some(ended) = ended.await {
                return Ok(ended?);
            }
            let snapshot = self.run.refresh().await?;
            if snapshot.status.is_terminal() {
                return Ok(snapshot);
            }
            Err(WaitError::Timeout {
                snapshot: Box::new(snapshot),
                waited: self.timeout.unwrap_or_default(),
            })
        })
    }
}

/// Waits for something that a run does, for so long by the clock of its store. A virtual clock goes on
/// meanwhile.
async fn within<T>(
    access: &Access,
    instance: InstanceId,
    limit: Option<Duration>,
    waiting: impl Future<Output = T>,
) -> Option<T> {
    match (access.store.virtual_time(), limit) {
        (None, None) => Some(waiting.await),
        (None, Some(limit)) => tokio::time::timeout(limit, waiting).await.ok(),
        (Some(time), limit) => {
            let until = limit.map(|limit| time.clock() + limit);
            let _awaiting = time.awaiting(Await {
                run: Some(instance),
                after_sequence: None,
                until,
            });
            tokio::select! {
                done = waiting => Some(done),
                () = time.until(until) => None,
            }
        }
    }
}

impl<S: DeserializeOwned + marker::Send + 'static> Run<S> {
    async fn ended(&self) -> Result<Instance<S>, ReadError> {
        let mut failures = 0;
        loop {
            // Listen before looking, so that an end in between is not missed.
            let ended = self.access.endings.listen(self.instance_id);
            match self.refresh().await {
                Ok(instance) if instance.status.is_terminal() => return Ok(instance),
                Ok(_) => failures = 0,
                // A server that restarts is no reason to leave a run that goes on.
                Err(error) if error.is_outage() && failures < WAIT_FAILURES_MAX => {
                    failures += 1;
                    tokio::time::sleep(WAIT_POLL).await;
                    continue;
                }
                Err(error) => return Err(error),
            }
            if ended.await.is_err() {
                // The flow is closed, and with it what would have told: look by ourselves.
                tokio::time::sleep(WAIT_POLL).await;
            }
        }
    }
}
