// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! Which entries of a journal another run begins with, so that it goes on from where it should.

use std::collections::HashSet;

use crate::error::failure::RunFailure;
use crate::identifier::NodeName;
use crate::instance::journal::{Answer, Entry, Pin, Recorded, Visit, present};

/// What a run begins with that goes on from where another one was.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Beginning {
    /// The entries of the other's journal.
    pub(crate) sequences: Vec<i64>,
    /// The version of then, where the other has moved to another one since.
    pub(crate) pin: Option<Pin>,
}

/// With what a retry of a failed run begins: all that was finished.
///
/// A node that did not finish begins anew, with all its attempts; of its durable calls the answers of
/// blocks, sleeps and signals are kept, and what it spawned is spawned again.
pub(crate) fn of_failed(journal: &[Recorded]) -> Beginning {
    let journal = &*present(journal);
    let failure = journal.iter().find_map(|recorded| match &recorded.entry {
        Entry::RunFailed { failure } => Some(failure),
        _ => None,
    });
    let last = journal
        .iter()
        .filter_map(|recorded| superstep(&recorded.entry));
    let last = last.max().unwrap_or(0);
    // Updates that do not fit together are to be made again by all who made them.
    if matches!(
        failure,
        Some(RunFailure::ConcurrentWrites { .. } | RunFailure::MergeFailed { .. })
    ) {
        return before(journal, last);
    }
    // What was undone is to be done again.
    if let Some(first) = first_undone(journal) {
        return before(journal, first);
    }
    let finished: HashSet<(u32, u16)> = journal
        .iter()
        .filter_map(|recorded| match &recorded.entry {
            Entry::NodeCompleted { at, .. } | Entry::NodeSkipped { at } => {
                Some((at.superstep, at.member))
            }
            _ => None,
        })
        .collect();
    let is_finished = |at: &Visit| finished.contains(&(at.superstep, at.member));
    let is_kept = |entry: &Entry| match entry {
        Entry::RunCompleted
        | Entry::RunFailed { .. }
        | Entry::RunCancelled { .. }
        | Entry::CompensationBegan { .. }
        | Entry::Compensated { .. }
        | Entry::CompensationFailed { .. } => false,
        Entry::AttemptFailed { at, .. } => is_finished(at),
        Entry::Called { at, call } => {
            is_finished(at) || !matches!(call.answer, Answer::Children(_))
        }
        _ => true,
    };
    sequences(journal, is_kept)
}

/// With what a run begins that is to come to a visit of a node again; `None` where the run never came
/// to it. Without a number the latest visit is meant.
pub(crate) fn at_node(journal: &[Recorded], node: &str, visit: Option<u32>) -> Option<Beginning> {
    let journal = &*present(journal);
    let visits = journal.iter().filter_map(|recorded| at(&recorded.entry));
    let place = visits
        .filter(|at| at.node.as_str() == node && visit.is_none_or(|visit| at.visit == visit))
        .max_by_key(|at| at.visit)?;
    Some(before(journal, place.superstep))
}

/// The superstep of the first visit that was undone, or was to be.
fn first_undone(journal: &[Recorded]) -> Option<u32> {
    let undone: HashSet<(&NodeName, u32)> = journal
        .iter()
        .filter_map(|recorded| match &recorded.entry {
            Entry::Compensated { at, .. } | Entry::CompensationFailed { at, .. } => {
                Some((&at.node, at.visit))
            }
            _ => None,
        })
        .collect();
    let done = journal.iter().filter_map(|recorded| match &recorded.entry {
        Entry::NodeCompleted { at, .. } if undone.contains(&(&at.node, at.visit)) => {
            Some(at.superstep)
        }
        _ => None,
    });
    done.min()
}

/// All that was recorded before a superstep began.
fn before(journal: &[Recorded], first: u32) -> Beginning {
    sequences(journal, |entry| {
        superstep(entry).is_some_and(|superstep| superstep < first)
    })
}

fn sequences(journal: &[Recorded], is_kept: impl Fn(&Entry) -> bool) -> Beginning {
    let left_out = journal.iter().filter(|recorded| !is_kept(&recorded.entry));
    let pin = left_out
        .into_iter()
        .find_map(|recorded| match &recorded.entry {
            Entry::Migrated(moved) => Some(moved.from),
            _ => None,
        });
    let kept = journal.iter().filter(|recorded| is_kept(&recorded.entry));
    Beginning {
        sequences: kept.map(|recorded| recorded.sequence).collect(),
        pin,
    }
}

/// The visit that an entry tells of, unless it tells how that was undone.
fn at(entry: &Entry) -> Option<&Visit> {
    match entry {
        Entry::Compensated { .. } | Entry::CompensationFailed { .. } => None,
        _ => entry.visit(),
    }
}

fn superstep(entry: &Entry) -> Option<u32> {
    match entry {
        Entry::Resolved { superstep, .. } => Some(*superstep),
        // With a move comes the state after this superstep.
        Entry::Migrated(moved) => Some(moved.merged),
        _ => at(entry).map(|at| at.superstep),
    }
}
