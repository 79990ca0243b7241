// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! Who owned which run when: epochs, the numbers of checkpoints, pauses and slots.

use std::collections::{BTreeMap, HashMap};

use forktex_flow::InstanceId;
use forktex_flow::simulation::{Asked, Effect, Fate, Next};

use super::{Findings, Guarantee};
use crate::history::{Body, History, Lot, Phase, What};
use crate::world::place_of;

/// A run as the effects tell of it.
#[derive(Default)]
struct Owned {
    last_epoch: i64,
    /// The epoch under which it is owned, as far as it is known.
    epoch: Option<i64>,
    last_sequence: Option<i64>,
    last_commit: Option<(i64, i64, usize)>,
    is_paused: bool,
    has_ended: bool,
}

pub(super) fn check(history: &History, findings: &mut Findings) {
    let mut runs: HashMap<InstanceId, Owned> = HashMap::new();
    for (_, _, effect) in history.effects() {
        follow(effect, &mut runs, findings);
    }
    slots(history, findings);
}

fn follow(effect: &Effect, runs: &mut HashMap<InstanceId, Owned>, findings: &mut Findings) {
    match effect {
        Effect::Claimed { run, epoch, .. } => {
            let owned = runs.entry(*run).or_default();
            findings.expect(*epoch > owned.last_epoch, Guarantee::Fencing, *run, || {
                format!(
                    "it was claimed in epoch {epoch} after epoch {}",
                    owned.last_epoch
                )
            });
            findings.expect(!owned.is_paused, Guarantee::Limits, *run, || {
                "it was claimed while it was paused".to_owned()
            });
            findings.expect(!owned.has_ended, Guarantee::Endings, *run, || {
                "it was claimed after its end".to_owned()
            });
            owned.last_epoch = *epoch;
            owned.epoch = Some(*epoch);
        }
        Effect::Committed {
            run,
            epoch,
            first_sequence,
            entries,
            then,
            outcome: Fate::Written,
            ..
        } => {
            let owned = runs.entry(*run).or_default();
            let commit = (*epoch, *first_sequence, entries.len());
            written(*run, owned, commit, *then, findings);
        }
        Effect::HandedBack { run, epoch } => {
            let owned = runs.entry(*run).or_default();
            if owned.epoch == Some(*epoch) {
                owned.epoch = None;
            }
        }
        Effect::PauseAsked {
            run,
            is_paused,
            is_done: true,
        } => {
            runs.entry(*run).or_default().is_paused = *is_paused;
        }
        Effect::UndoAsked { run, is_done: true } => runs.entry(*run).or_default().is_paused = false,
        Effect::CancelAsked {
            run,
            outcome: Asked::AtOnce,
        }
        | Effect::Overdue { run }
        | Effect::ChildEnded { run, is_over: true } => {
            let owned = runs.entry(*run).or_default();
            findings.expect(!owned.has_ended, Guarantee::Endings, *run, || {
                "it ended a second time".to_owned()
            });
            (owned.has_ended, owned.epoch) = (true, None);
        }
        _ => {}
    }
}

fn written(
    run: InstanceId,
    owned: &mut Owned,
    commit: (i64, i64, usize),
    then: Next,
    findings: &mut Findings,
) {
    let (epoch, first, count) = commit;
    findings.expect(!owned.has_ended, Guarantee::Endings, run, || {
        format!("a checkpoint of epoch {epoch} was written after its end")
    });
    findings.expect(owned.epoch == Some(epoch), Guarantee::Fencing, run, || {
        let last = owned.last_epoch;
        format!("a checkpoint of epoch {epoch} was written, and the last claim was epoch {last}")
    });
    let is_repeated = owned.last_commit == Some(commit);
    if !is_repeated {
        let next = owned.last_sequence.map_or(first, |last| last + 1);
        findings.expect(first == next, Guarantee::Checkpoints, run, || {
            format!("entry {first} was written where {next} was to come")
        });
        owned.last_sequence = Some(first + i64::try_from(count).unwrap_or_default() - 1);
    }
    owned.last_commit = Some(commit);
    match then {
        Next::Continue => {}
        Next::Wait => owned.epoch = None,
        Next::End(_) => (owned.epoch, owned.has_ended) = (None, true),
    }
}

/// No process has bodies of more runs than it has slots.
fn slots(history: &History, findings: &mut Findings) {
    let mut playing: HashMap<u32, BTreeMap<InstanceId, i64>> = HashMap::new();
    for moment in &history.moments {
        match &moment.what {
            What::Body(Body { run, phase, .. }) => {
                let runs = playing.entry(moment.process).or_default();
                let bodies = runs.entry(*run).or_default();
                *bodies += if *phase == Phase::Began { 1 } else { -1 };
                if *bodies <= 0 {
                    runs.remove(run);
                }
                let place = place_of(moment.process);
                let slots = place.and_then(|place| history.slots.get(place));
                let count = runs.len();
                let holds = slots.is_none_or(|slots| count <= *slots as usize);
                findings.expect(holds, Guarantee::Limits, *run, || {
                    format!("process {} plays {count} runs at a time", moment.process)
                });
            }
            What::Process(Lot::Dies) => {
                playing.remove(&moment.process);
            }
            _ => {}
        }
    }
}
