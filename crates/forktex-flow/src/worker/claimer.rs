// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! Fills the free slots: wakes what is due, then claims what is ready, as much as there is room for.
//!
//! Claims go round the namespaces. A worker whose slots are all taken claims nothing, whoever waits: a
//! tenant is kept from taking all of them by a limit, not by the order of claims.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;

use super::incarnation::Incarnation;
use super::{Held, Shared, executor};
use crate::clock::GRACE_PERIOD_DEFAULT;
use crate::identifier::DefinitionId;
use crate::store::{ClaimRequest, Claimable, ClaimedRun, Turn};
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

/// How many claims in a row may find nothing where they say that there is more, or that another claimer
/// holds the limits.
const FRUITLESS_MAX: u32 = 16;

/// How long a claimer waits for another one that holds a limit.
const CONTENDED: std::time::Duration = std::time::Duration::from_millis(5);

/// A worker's round of the namespaces.
struct Round {
    which: Claimable,
    turn: Turn,
    /// Whether limits concerned what was ready.
    is_limited: bool,
    fruitless: u32,
}

impl Round {
    fn of(which: Claimable) -> Self {
        Self {
            which,
            turn: Turn::default(),
            is_limited: false,
            fruitless: 0,
        }
    }
}

/// The rounds of a worker.
struct Rounds {
    ready: Round,
    suspects: Round,
}

pub(super) async fn run(shared: Arc<Shared>, stop: CancellationToken) {
    let mut rounds = Rounds {
        ready: Round::of(Claimable::Ready),
        suspects: Round::of(Claimable::Suspect),
    };
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
                filled = fill(&shared, &definitions, &mut rounds) => filled,
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
    rounds: &mut Rounds,
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
            .release_unheld(incarnation.worker_id, &incarnation.holdings())
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
        let round = &mut rounds.suspects;
        let (mut suspects, _) = claim(shared, round, &incarnation, definitions, 1).await?;
        if suspects.is_empty() && round.is_limited {
            (suspects, _) = claim(shared, round, &incarnation, definitions, 1).await?;
        }
        if let (Some(run), Some(permit)) = (suspects.into_iter().next(), permits.pop()) {
            let mut held = Held::under(Arc::clone(shared), incarnation, run.instance_id, run.epoch);
            held.suspect_permit = Some(suspect_permit);
            telemetry::runs_claimed(1, began_at.elapsed());
            executor::spawn(held, run, permit);
            return Ok(true);
        }
    }
    let room = permits.len();
    let began_at = Instant::now();
    let (claimed, is_more) =
        claim(shared, &mut rounds.ready, &incarnation, definitions, room).await?;
    telemetry::runs_claimed(claimed.len(), began_at.elapsed());
    let is_full = claimed.len() == room;
    for (run, permit) in claimed.into_iter().zip(permits) {
        let held = Held::under(
            Arc::clone(shared),
            Arc::clone(&incarnation),
            run.instance_id,
            run.epoch,
        );
        executor::spawn(held, run, permit);
    }
    Ok(is_full || is_more)
}

/// One claim: within the limits where the last one came by some. Returns whether another may find more.
async fn claim(
    shared: &Shared,
    round: &mut Round,
    incarnation: &Incarnation,
    definitions: &[DefinitionId],
    room: usize,
) -> Result<(Vec<ClaimedRun>, bool), forktex_db::DbError> {
    let request = ClaimRequest {
        worker: incarnation.worker_id,
        definitions,
        which: round.which,
        room: u32::try_from(room).unwrap_or(u32::MAX),
        turn: &round.turn,
    };
    let claims = if round.is_limited {
        shared.store.claim_within_limits(&request).await?
    } else {
        shared.store.claim(&request).await?
    };
    let came_by_limits = claims.is_limited && !round.is_limited;
    let has_moved = claims.turn != round.turn;
    round.is_limited = claims.is_limited;
    round.turn = claims.turn;
    if round.which == Claimable::Ready {
        shared
            .limits_hold
            .store(claims.is_limited, Ordering::Relaxed);
    }
    if !claims.runs.is_empty() {
        round.fruitless = 0;
        return Ok((
            claims.runs,
            claims.is_more || came_by_limits || claims.is_contended,
        ));
    }
    let goes_on = came_by_limits || claims.is_contended || (claims.is_more && has_moved);
    if !goes_on || round.fruitless == FRUITLESS_MAX {
        round.fruitless = 0;
        return Ok((claims.runs, false));
    }
    round.fruitless += 1;
    if claims.is_contended {
        tokio::time::sleep(CONTENDED).await;
    }
    Ok((claims.runs, true))
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
