// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! Keeps the lease, on a connection of its own, and spreads what it learns.
//!
//! Once a second at most: the only statement that an idle worker sends.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use forktex_db::DbError;
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::Shared;
use crate::store::{Heart, Pulse};
use crate::telemetry;

/// The time between two pulses.
const INTERVAL: Duration = Duration::from_secs(1);

/// The age from which a leader that does not renew its row is taken for dead.
pub(crate) const LEADER_STALE_AFTER: Duration = Duration::from_secs(2);

pub(super) async fn run(
    shared: Arc<Shared>,
    stop: CancellationToken,
    pulses: watch::Sender<Pulse>,
) {
    let mut heart = shared.store.heart();
    let mut lease_until = Instant::now() + shared.options.lease;
    let mut healthy_since: Option<Instant> = None;
    loop {
        let began_at = Instant::now();
        let pulse = tokio::select! {
            () = stop.cancelled() => return,
            pulse = beat(&shared, &mut *heart) => pulse,
        };
        let mut pause = INTERVAL.min(shared.options.lease / 4);
        match pulse {
            Ok(pulse) if pulse.lease_held => {
                lease_until = began_at + shared.options.lease;
                let healthy_for = began_at - *healthy_since.get_or_insert(began_at);
                if let Some(age) = pulse.leader_age
                    && age < LEADER_STALE_AFTER
                {
                    pause = pause
                        .min(LEADER_STALE_AFTER.saturating_sub(age) + Duration::from_millis(5));
                }
                // After an outage of the database every lease looks lost: leave the others the time
                // to renew theirs before judging them.
                let may_judge = healthy_for * 4 >= shared.options.lease;
                if let Err(error) = act_on(&shared, &pulse, may_judge).await {
                    tracing::warn!(%error, "cannot take over lost runs; trying again");
                }
                pulses.send_replace(pulse);
            }
            Ok(_) => {
                tracing::warn!("the lease is lost: another worker took over");
                begin_again(&shared).await;
                lease_until = Instant::now() + shared.options.lease;
                pause = Duration::from_millis(10);
            }
            Err(error) => {
                healthy_since = None;
                tracing::warn!(%error, "the heartbeat failed; trying again");
                if Instant::now() >= lease_until {
                    tracing::warn!("the lease is over: the runs held here may be taken over");
                    begin_again(&shared).await;
                    lease_until = Instant::now() + shared.options.lease;
                }
            }
        }
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep_until(began_at + pause) => {}
            () = heart.roused() => {}
        }
    }
}

/// One pulse. A server that does not answer is an error before the lease is over.
async fn beat(shared: &Shared, heart: &mut dyn Heart) -> Result<Pulse, DbError> {
    let worker = shared.incarnations.current().worker_id;
    let limit = (shared.options.lease / 2).min(Duration::from_secs(5));
    tokio::time::timeout(
        limit,
        heart.pulse(worker, shared.options.lease, &shared.catalog.definitions()),
    )
    .await
    .unwrap_or(Err(DbError::Timeout {
        awaited: forktex_db::Awaited::Statement,
    }))
}

/// Becomes a new incarnation. What the old one held is handed back, as this process did not die.
async fn begin_again(shared: &Shared) {
    let (old, new) = shared.incarnations.renew();
    let registered = async {
        shared.store.remove_worker(old.worker_id).await?;
        shared
            .store
            .register_worker(
                new.worker_id,
                &shared.options.name,
                shared.options.lease,
                &shared.catalog.definitions(),
            )
            .await
    };
    let limit = shared.options.lease / 2;
    match tokio::time::timeout(limit, registered).await {
        Ok(Ok(())) => shared.wake.notify_one(),
        Ok(Err(error)) => tracing::warn!(%error, "cannot register again; trying again"),
        Err(_) => tracing::warn!("cannot register again in time; trying again"),
    }
}

async fn act_on(shared: &Arc<Shared>, pulse: &Pulse, may_judge: bool) -> Result<(), DbError> {
    let free = u32::try_from(shared.slots.available_permits()).unwrap_or(u32::MAX);
    telemetry::slots_in_use(shared.options.slots.saturating_sub(free));
    let incarnation = shared.incarnations.current();
    for (instance, left) in &pulse.cancelling {
        if left.is_zero() {
            incarnation.abandon(*instance);
        } else {
            incarnation.tell(*instance);
        }
    }
    if pulse.cancellations_overdue {
        for instance in shared.store.end_overdue_cancellations().await? {
            incarnation.abandon(instance);
            shared.announcer.ended(instance);
        }
    }
    if pulse.leases_lost && may_judge {
        let mut released = 0;
        loop {
            let count = shared.store.release_lost().await?;
            released += count;
            if count == 0 {
                break;
            }
        }
        if released > 0 {
            telemetry::runs_lost(released);
            tracing::info!(released, "took runs from workers whose lease is over");
            shared.suspects_ready.store(true, Ordering::Relaxed);
            shared.wake.notify_one();
        }
    }
    if pulse.suspects_ready {
        shared.suspects_ready.store(true, Ordering::Relaxed);
    }
    if shared.catalog.is_behind(pulse.runtime_revision) {
        // Beside the heartbeat, which waits for nothing else.
        let shared = Arc::clone(shared);
        tokio::spawn(async move {
            match shared.catalog.refresh(&*shared.store).await {
                Ok(()) => shared.wake.notify_one(),
                Err(error) => tracing::warn!(%error, "cannot read what was defined; trying again"),
            }
        });
    }
    if pulse.messages_undelivered {
        shared.deliver_soon();
    }
    if pulse.runs_due {
        shared.next_due.send_replace(Some(Instant::now()));
    }
    if pulse.runs_ready || pulse.suspects_ready {
        shared.wake.notify_one();
    }
    Ok(())
}
