// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! Fills the free slots: wakes what is due, then claims what is ready, as much as there is room for.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;

use super::{Held, Shared, executor};
use crate::clock::GRACE_PERIOD_DEFAULT;
use crate::identifier::DefinitionId;
use crate::telemetry;

/// The most runs that one statement claims.
const CLAIM_MAX: usize = 1_000;

/// A busy worker claims for this part of its slots at once where it can, but for this many at most:
/// each claim has a price of its own.
const WORTHWHILE: (usize, usize) = (8, 128);

/// How long a busy worker lets free slots gather.
const GATHER: std::time::Duration = std::time::Duration::from_millis(2);

/// How long claiming rests after the database failed.
const PAUSE_AFTER_ERROR: std::time::Duration = std::time::Duration::from_millis(500);

pub(super) async fn run(shared: Arc<Shared>, stop: CancellationToken) {
    let mut next_due = shared.next_due.subscribe();
    loop {
        let due = *next_due.borrow_and_update();
        let is_due = tokio::select! {
            () = stop.cancelled() => return,
            () = shared.draining.cancelled() => return,
            () = shared.wake.notified() => due.is_some_and(|due| due <= tokio::time::Instant::now()),
            () = until(due) => true,
            _ = next_due.changed() => continue,
        };
        if is_due && let Err(error) = wake_due(&shared).await {
            tracing::warn!(%error, "cannot wake due runs; trying again");
        }
        if shared.messages_due.swap(false, Ordering::Relaxed)
            && let Err(error) = deliver(&shared).await
        {
            tracing::warn!(%error, "cannot deliver messages; trying again");
        }
        loop {
            let definitions = shared.catalog.definitions();
            let filled = tokio::select! {
                () = stop.cancelled() => return,
                () = shared.draining.cancelled() => return,
                filled = fill(&shared, &definitions) => filled,
            };
            match filled {
                Ok(true) => {}
                Ok(false) => break,
                Err(error) => {
                    tracing::warn!(%error, "cannot claim runs; trying again");
                    // What was claimed by the statement whose answer was lost is held by nobody.
                    shared.must_reconcile.store(true, Ordering::Relaxed);
                    tokio::select! {
                        () = stop.cancelled() => return,
                        () = tokio::time::sleep(PAUSE_AFTER_ERROR) => {}
                    }
                }
            }
        }
    }
}

async fn until(due: Option<tokio::time::Instant>) {
    match due {
        Some(due) => tokio::time::sleep_until(due).await,
        None => std::future::pending().await,
    }
}

async fn wake_due(shared: &Shared) -> Result<(), forktex_db::DbError> {
    let woken = shared.store.wake_due().await?;
    shared.next_due.send_replace(
        woken
            .next_in
            .map(|delay| tokio::time::Instant::now() + delay),
    );
    Ok(())
}

/// Wakes the runs for which messages have come, and asks for the end of children that are to end.
async fn deliver(shared: &Shared) -> Result<(), forktex_db::DbError> {
    loop {
        let delivered = shared.store.deliver().await?;
        if delivered.readied > 0 {
            shared.announcer.ready();
        }
        let (ended, asked) = shared.store.cancel_children(GRACE_PERIOD_DEFAULT).await?;
        for instance in &asked {
            shared.incarnations.current().tell(*instance);
            shared.announcer.cancelling(*instance);
        }
        for instance in &ended {
            shared.announcer.ended(*instance);
        }
        if !delivered.is_more_left && ended.is_empty() && asked.is_empty() {
            return Ok(());
        }
    }
}

/// Claims into the free slots. Returns whether there may be more to claim.
async fn fill(
    shared: &Arc<Shared>,
    definitions: &[DefinitionId],
) -> Result<bool, forktex_db::DbError> {
    let Ok(first) = Arc::clone(&shared.slots).acquire_owned().await else {
        return Ok(false);
    };
    let mut permits = vec![first];
    gather(shared, &mut permits).await;
    let free = shared.slots.available_permits().min(CLAIM_MAX - 1);
    permits.extend((0..free).map_while(|_| free_permit(&shared.slots)));
    let incarnation = shared.incarnations.current();
    if shared.must_reconcile.swap(false, Ordering::Relaxed) {
        let released = shared
            .store
            .release_unheld(incarnation.worker_id, &incarnation.instances())
            .await?;
        tracing::debug!(
            released,
            "handed back the runs that this worker does not hold"
        );
    }
    if shared.suspects_ready.swap(false, Ordering::Relaxed)
        && let Some(suspect_permit) = free_permit(&shared.suspect_slot)
    {
        let began_at = Instant::now();
        let suspects = shared
            .store
            .claim_suspect(incarnation.worker_id, definitions)
            .await?;
        if let (Some(run), Some(permit)) = (suspects.into_iter().next(), permits.pop()) {
            let mut held = Held::under(Arc::clone(shared), incarnation, run.instance_id, run.epoch);
            held.suspect_permit = Some(suspect_permit);
            telemetry::runs_claimed(1, began_at.elapsed());
            executor::spawn(held, run, permit);
            return Ok(true);
        }
    }
    let limit = u32::try_from(permits.len()).unwrap_or(u32::MAX);
    let began_at = Instant::now();
    let claimed = shared
        .store
        .claim_ready(incarnation.worker_id, definitions, limit)
        .await?;
    telemetry::runs_claimed(claimed.len(), began_at.elapsed());
    let is_full = claimed.len() == permits.len();
    for (run, permit) in claimed.into_iter().zip(permits) {
        let held = Held::under(
            Arc::clone(shared),
            Arc::clone(&incarnation),
            run.instance_id,
            run.epoch,
        );
        executor::spawn(held, run, permit);
    }
    Ok(is_full)
}

/// Waits a moment for enough free slots to be worth a statement.
async fn gather(shared: &Shared, permits: &mut Vec<OwnedSemaphorePermit>) {
    let worthwhile = (shared.options.slots as usize / WORTHWHILE.0).min(WORTHWHILE.1);
    let enough = async {
        while permits.len() + shared.slots.available_permits() < worthwhile {
            match Arc::clone(&shared.slots).acquire_owned().await {
                Ok(permit) => permits.push(permit),
                Err(_) => return,
            }
        }
    };
    let _ = tokio::time::timeout(GATHER, enough).await;
}

fn free_permit(semaphore: &Arc<Semaphore>) -> Option<OwnedSemaphorePermit> {
    Arc::clone(semaphore).try_acquire_owned().ok()
}
