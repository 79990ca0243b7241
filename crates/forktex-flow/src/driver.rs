// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! What one process does for all: the duties of the leader. Two leaders at once must still be
//! harmless; the election only keeps the work from being done twice.

mod election;
pub(crate) mod history_pruner;
pub(crate) mod schedule_firer;

use std::sync::Arc;

use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::definition::retention::RetentionRule;
use crate::identifier::WorkerId;
use crate::store::{Candidate, Pulse, Store};
use schedule_firer::Schedules;

/// A candidate for the leadership of a schema, and the leader while it is elected.
pub(crate) struct Driver {
    stop: CancellationToken,
    election: JoinHandle<()>,
    schedule_firer: JoinHandle<()>,
    history_pruner: JoinHandle<()>,
    leading: watch::Receiver<bool>,
}

impl Driver {
    /// Stands for election with every pulse. `worker_id` tells the current incarnation.
    pub(crate) fn start(
        candidate: Box<dyn Candidate>,
        pulses: watch::Receiver<Pulse>,
        schedules: Schedules,
        (store, retention): (Arc<dyn Store>, Vec<RetentionRule>),
        worker_id: impl Fn() -> WorkerId + Send + Sync + 'static,
    ) -> Self {
        let stop = CancellationToken::new();
        let (sender, leading) = watch::channel(false);
        let schedule_firer = schedule_firer::run(schedules, pulses.clone(), stop.clone());
        let schedule_firer = tokio::spawn(schedule_firer);
        let history_pruner = history_pruner::run(store, retention, leading.clone(), stop.clone());
        let history_pruner = tokio::spawn(history_pruner);
        let election = tokio::spawn(election::run(
            candidate,
            pulses,
            worker_id,
            sender,
            stop.clone(),
        ));
        Self {
            stop,
            election,
            schedule_firer,
            history_pruner,
            leading,
        }
    }

    /// Whether this process leads, as far as it knows.
    pub(crate) fn leading(&self) -> watch::Receiver<bool> {
        self.leading.clone()
    }

    /// Stops leading, so that another can at once.
    pub(crate) async fn stop(mut self) {
        self.stop.cancel();
        let _ = (&mut self.history_pruner).await;
        let _ = (&mut self.schedule_firer).await;
        let _ = (&mut self.election).await;
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        self.stop.cancel();
        self.election.abort();
        self.schedule_firer.abort();
        self.history_pruner.abort();
    }
}
