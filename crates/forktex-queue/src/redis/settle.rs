// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! Takes the ends of attempts, and makes leases last longer.
//!
//! A lease is held as long as its job and mark are a member of the queue's running jobs: whoever has
//! another token finds nothing to remove, and is refused.

use std::collections::BTreeMap;
use std::time::Duration;

use forktex_cache::fred::bytes::Bytes;
use forktex_cache::fred::types::Value;
use futures_util::future::try_join_all;

use super::claim::{TIED_BIT, mark_of};
use super::{RedisBackend, answer, body, milliseconds, script};
use crate::backend::{Lease, Outcome, Renewed, Settled, Settlement};
use crate::error::QueueError;
use crate::identifier::QueueName;
use crate::record::bounded;

/// The bytes of a job's id with those of a mark.
const LEASE_BYTES: usize = 32;

impl RedisBackend {
    /// A round trip; of several queues, all at once.
    pub(super) async fn settle_jobs(
        &self,
        settlements: Vec<Settlement>,
    ) -> Result<Vec<Settled>, QueueError> {
        let mut answers = vec![Settled::Refused; settlements.len()];
        let groups = by_queue(settlements.iter().map(|settlement| &settlement.lease));
        let told = groups.into_iter().map(|(queue, positions)| {
            let settlements = &settlements;
            async move {
                // Those that end for good and have nothing else to see to go first.
                let (plain, others): (Vec<usize>, Vec<usize>) = positions
                    .into_iter()
                    .partition(|position| settlements.get(*position).is_some_and(is_plain_end));
                let arguments = settle_arguments(queue, settlements, &plain, &others);
                let answer = self.run(&script::SETTLE, "end jobs", arguments).await?;
                let positions = plain.into_iter().chain(others);
                Ok::<_, QueueError>((positions, answer.into_array()))
            }
        });
        for (positions, answer) in try_join_all(told).await? {
            for (position, value) in positions.zip(&answer) {
                let is_taken = answer::number(value) == Some(1);
                if let (true, Some(answer)) = (is_taken, answers.get_mut(position)) {
                    *answer = Settled::Accepted;
                }
            }
        }
        Ok(answers)
    }

    /// A round trip; of several queues, all at once.
    pub(super) async fn renew_leases(
        &self,
        leases: &[Lease],
        lease: Duration,
    ) -> Result<Vec<Renewed>, QueueError> {
        let mut answers = vec![Renewed::Lost; leases.len()];
        let told = by_queue(leases)
            .into_iter()
            .map(|(queue, positions)| async move {
                let held: Vec<&Lease> = positions.iter().filter_map(|at| leases.get(*at)).collect();
                let mut arguments = vec![
                    Value::from(queue.as_str()),
                    Value::Integer(milliseconds(lease).max(1)),
                ];
                arguments.extend(lease_values(&held));
                let answer = self.run(&script::RENEW, "renew leases", arguments).await?;
                Ok::<_, QueueError>((positions, answer.into_array()))
            });
        for (positions, answer) in try_join_all(told).await? {
            for (position, value) in positions.into_iter().zip(&answer) {
                if let Some(answer) = answers.get_mut(position) {
                    *answer = match answer::number(value) {
                        Some(1) => Renewed::Held,
                        Some(2) => Renewed::CancelAsked,
                        _ => Renewed::Lost,
                    };
                }
            }
        }
        Ok(answers)
    }
}

/// The positions of the leases of each queue.
fn by_queue<'a>(
    leases: impl IntoIterator<Item = &'a Lease>,
) -> BTreeMap<&'a QueueName, Vec<usize>> {
    let mut groups = BTreeMap::<_, Vec<usize>>::new();
    for (position, lease) in leases.into_iter().enumerate() {
        groups.entry(&lease.queue).or_default().push(position);
    }
    groups
}

fn is_plain_end(settlement: &Settlement) -> bool {
    let Settlement { lease, outcome } = settlement;
    let [.., last] = mark_of(lease.token, lease.id);
    last & TIED_BIT == 0 && matches!(outcome, Outcome::Done | Outcome::Cancelled)
}

fn settle_arguments(
    queue: &QueueName,
    settlements: &[Settlement],
    plain: &[usize],
    others: &[usize],
) -> Vec<Value> {
    let lease = |position: &usize| settlements.get(*position).map(|each| &each.lease);
    let plain: Vec<&Lease> = plain.iter().filter_map(lease).collect();
    let count = i64::try_from(plain.len()).unwrap_or(i64::MAX);
    let mut arguments = Vec::with_capacity(2 + plain.len() + 4 * others.len());
    arguments.extend([Value::from(queue.as_str()), Value::Integer(count)]);
    arguments.extend(lease_values(&plain));
    for settlement in others
        .iter()
        .filter_map(|position| settlements.get(*position))
    {
        arguments.extend(lease_values(&[&settlement.lease]));
        arguments.extend(described(&settlement.outcome));
    }
    arguments
}

/// What the script is told of an outcome: a word, a number and a note.
fn described(outcome: &Outcome) -> [Value; 3] {
    let (word, number, note) = match outcome {
        Outcome::Done | Outcome::Cancelled => ("done", 0, None),
        Outcome::Retry { delay, error } => ("retry", milliseconds(*delay), Some(error)),
        Outcome::Dead { reason, error } => {
            ("dead", i64::from(body::reason_number(*reason)), Some(error))
        }
        Outcome::Release { delay, note } => ("release", milliseconds(*delay), note.as_ref()),
    };
    let note = note.map_or_else(String::new, |note| format!("={}", bounded(note)));
    [
        Value::from_static_str(word),
        Value::Integer(number),
        Value::from(note),
    ]
}

/// The members that stand for leases, in one piece of memory.
fn lease_values(leases: &[&Lease]) -> Vec<Value> {
    let mut bytes = Vec::with_capacity(LEASE_BYTES * leases.len());
    for lease in leases {
        bytes.extend_from_slice(lease.id.0.as_bytes());
        bytes.extend_from_slice(&mark_of(lease.token, lease.id));
    }
    let bytes = Bytes::from(bytes);
    (0..leases.len())
        .map(|index| Value::Bytes(bytes.slice(index * LEASE_BYTES..(index + 1) * LEASE_BYTES)))
        .collect()
}
