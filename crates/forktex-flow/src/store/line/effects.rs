// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! What the calls of a process did, in the words of a simulation.

use super::StoreOnLine;
use crate::identifier::InstanceId;
use crate::instance::event::Event;
use crate::instance::journal::Recorded;
use crate::simulation::{Asked, Birth, Effect, Fate, Next};
use crate::store::{
    Cancelled, Checkpoint, ClaimedRun, Committed, FIRST_EPOCH, NewRun, Started, Then,
};

impl StoreOnLine {
    pub(super) fn saw_starts(&self, runs: &[NewRun], outcomes: &[Started]) {
        for (run, outcome) in runs.iter().zip(outcomes) {
            let is_claimed = matches!(outcome, Started::Claimed { .. });
            if is_claimed || *outcome == Started::Ready {
                self.line.saw(Effect::Started(birth(run, is_claimed)));
            }
            if is_claimed {
                self.line.saw(Effect::Claimed {
                    run: run.instance_id,
                    epoch: FIRST_EPOCH.0,
                    is_suspect: false,
                });
            }
        }
    }

    pub(super) fn saw_claims(&self, claimed: &[ClaimedRun], is_suspect: bool) {
        for run in claimed {
            self.line.saw(Effect::Claimed {
                run: run.instance_id,
                epoch: run.epoch.0,
                is_suspect,
            });
        }
    }

    pub(super) fn saw_commit(&self, checkpoint: &Checkpoint, outcome: Option<&Committed>) {
        let outcome = match outcome {
            None => Fate::PassedOver,
            Some(Committed::Written) => Fate::Written,
            Some(Committed::Fenced) => Fate::Fenced,
            Some(_) => Fate::Asked,
        };
        let then = match &checkpoint.then {
            Then::Continue => Next::Continue,
            Then::Wait(_) => Next::Wait,
            Then::End { status, .. } => Next::End(*status),
        };
        let entries = (checkpoint.first_sequence..).zip(&checkpoint.entries);
        let name = |(sequence, entry): (i64, &crate::instance::journal::Entry)| {
            let recorded = Recorded {
                sequence,
                recorded_at: time::OffsetDateTime::UNIX_EPOCH,
                entry: entry.clone(),
            };
            Event::of(recorded).name()
        };
        self.line.saw(Effect::Committed {
            run: checkpoint.instance_id,
            epoch: checkpoint.epoch.0,
            first_sequence: checkpoint.first_sequence,
            entries: entries.map(name).collect(),
            then,
            outcome,
            children: checkpoint
                .children
                .iter()
                .map(|child| birth(child, false))
                .collect(),
        });
    }

    pub(super) fn saw_cancel(&self, run: InstanceId, outcome: &Cancelled) {
        let outcome = match outcome {
            Cancelled::AtOnce => Asked::AtOnce,
            Cancelled::Requested => Asked::Requested,
            Cancelled::AlreadyTerminal(_) | Cancelled::NotFound => Asked::Nothing,
        };
        self.line.saw(Effect::CancelAsked { run, outcome });
    }
}

fn birth(run: &NewRun, is_claimed: bool) -> Birth {
    let birth = run.birth.as_ref();
    Birth {
        run: run.instance_id,
        parent: birth.map(|birth| birth.parent_id),
        siblings: birth
            .map(|birth| birth.sibling_group.clone())
            .unwrap_or_default(),
        waits_for_turn: birth.is_some_and(|birth| birth.waits_for_turn),
        is_claimed,
    }
}
