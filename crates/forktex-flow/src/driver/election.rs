// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! Elects one leader a schema. The leader renews a row with its heartbeat; a candidate that sees the
//! row stale ends the leader's session and takes its place.

use std::time::Duration;

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::identifier::WorkerId;
use crate::store::{Candidate, Pulse};
use crate::telemetry;

/// The age from which a leader that does not renew its row is taken for dead.
pub(crate) const STALE_AFTER: Duration = Duration::from_secs(2);

/// How long one try may take.
const TRY_LIMIT: Duration = Duration::from_secs(2);

/// What a candidate does after a pulse.
#[derive(Debug, PartialEq, Eq)]
enum Action {
    Nothing,
    Contend,
    StepDown,
}

fn action(is_leading: bool, pulse: &Pulse) -> Action {
    match (is_leading, pulse.leading) {
        (true, false) => Action::StepDown,
        (false, _) if pulse.leader_age.is_none_or(|age| age >= STALE_AFTER) => Action::Contend,
        _ => Action::Nothing,
    }
}

pub(super) async fn run(
    mut candidate: Box<dyn Candidate>,
    mut pulses: watch::Receiver<Pulse>,
    worker_id: impl Fn() -> WorkerId,
    leading: watch::Sender<bool>,
    stop: CancellationToken,
) {
    // Under which incarnation this process leads, if it does.
    let mut leads_as: Option<WorkerId> = None;
    loop {
        tokio::select! {
            () = stop.cancelled() => break,
            changed = pulses.changed() => if changed.is_err() { break },
        }
        let pulse = pulses.borrow_and_update().clone();
        match action(leads_as.is_some(), &pulse) {
            Action::Nothing => {}
            Action::StepDown => {
                tracing::warn!("another process leads now");
                tell(&leading, false);
                if let Some(worker) = leads_as.take() {
                    candidate.step_down(worker).await;
                }
            }
            Action::Contend => {
                let worker = worker_id();
                let elected =
                    tokio::time::timeout(TRY_LIMIT, candidate.contend(worker, STALE_AFTER)).await;
                match elected {
                    Ok(Ok(true)) => {
                        tracing::info!("this process leads");
                        leads_as = Some(worker);
                        tell(&leading, true);
                        // A pulse that was sent before the row was written does not count.
                        pulses.mark_unchanged();
                    }
                    Ok(Ok(false)) => {}
                    Ok(Err(error)) => {
                        tracing::debug!(%error, "cannot stand for election; trying again");
                    }
                    Err(_) => tracing::debug!("standing for election took too long; trying again"),
                }
            }
        }
    }
    tell(&leading, false);
    if let Some(worker) = leads_as {
        candidate.step_down(worker).await;
    }
}

fn tell(leading: &watch::Sender<bool>, leads: bool) {
    telemetry::leading(leads);
    leading.send_replace(leads);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pulse(leading: bool, leader_age: Option<u64>) -> Pulse {
        Pulse {
            leading,
            leader_age: leader_age.map(Duration::from_millis),
            ..Pulse::default()
        }
    }

    #[test]
    fn a_leader_steps_down_when_the_row_is_not_its_own() {
        assert_eq!(action(true, &pulse(true, Some(0))), Action::Nothing);
        assert_eq!(action(true, &pulse(false, Some(0))), Action::StepDown);
    }

    #[test]
    fn a_candidate_waits_for_a_row_that_is_stale_or_missing() {
        assert_eq!(action(false, &pulse(false, Some(1_999))), Action::Nothing);
        assert_eq!(action(false, &pulse(false, Some(2_000))), Action::Contend);
        assert_eq!(action(false, &pulse(false, None)), Action::Contend);
    }
}
