// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! Removes the runs that are older than they are to be kept: a few at a time, while this process leads.

use std::sync::Arc;
use std::time::Duration;

use forktex_db::DbError;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::definition::retention::RetentionRule;
use crate::store::Store;

/// How often the leader looks for runs that are too old.
const INTERVAL: Duration = Duration::from_mins(1);

/// The most runs that one transaction removes.
const RUNS_MAX: u32 = 200;

/// The rest between two transactions, so that others are not held up.
const PAUSE: Duration = Duration::from_millis(50);

/// Prunes whenever this process leads, until it is stopped.
pub(super) async fn run(
    store: Arc<dyn Store>,
    rules: Vec<RetentionRule>,
    mut leading: watch::Receiver<bool>,
    stop: CancellationToken,
) {
    if rules.is_empty() {
        return;
    }
    let pruning = async {
        // The channel closes with the election, and then nothing is to be done any more.
        while leading.wait_for(|leads| *leads).await.is_ok() {
            match prune(&*store, &rules).await {
                Ok(0) => {}
                Ok(removed) => tracing::info!(removed, "removed runs that were old enough"),
                Err(error) => tracing::warn!(%error, "cannot remove old runs; trying again"),
            }
            tokio::time::sleep(INTERVAL).await;
        }
    };
    stop.run_until_cancelled(pruning).await;
}

/// Removes all that is too old. Returns how many runs that were.
pub(crate) async fn prune(store: &dyn Store, rules: &[RetentionRule]) -> Result<u64, DbError> {
    let mut removed = 0;
    for rule in rules {
        loop {
            let count = store.prune(rule, RUNS_MAX).await?;
            removed += count;
            if count < u64::from(RUNS_MAX) {
                break;
            }
            tokio::time::sleep(PAUSE).await;
        }
    }
    Ok(removed)
}
