// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! Whether everything ended as it should, and stayed so.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use forktex_flow::error::failure::RunFailure;
use forktex_flow::simulation::{Asked, Effect, Fate, Next, RunRecord};
use forktex_flow::{InstanceId, InstanceStatus, WaitingOn};

use super::{Findings, Guarantee};
use crate::history::{Answer, History, Request, What};

pub(super) fn check(history: &History, findings: &mut Findings) {
    if !history.is_at_rest {
        let restless = history
            .runs
            .iter()
            .filter(|run| !is_at_rest(run, &history.runs));
        for run in restless {
            let waiting_on = &run.instance.waiting_on;
            let detail = format!("it has not ended, and waits on {waiting_on:?}");
            findings.add(Guarantee::Ends, run.instance.instance_id, detail);
        }
    }
    pauses(history, findings);
    finality(history, findings);
    cancellations(history, findings);
    deadlines(history, findings);
}

/// The run that an effect ended.
pub(super) fn ended_by(effect: &Effect) -> Option<InstanceId> {
    match effect {
        Effect::Committed {
            run,
            then: Next::End(_),
            outcome: Fate::Written,
            ..
        }
        | Effect::CancelAsked {
            run,
            outcome: Asked::AtOnce,
        }
        | Effect::Overdue { run }
        | Effect::ChildEnded { run, is_over: true } => Some(*run),
        _ => None,
    }
}

/// Whether each run has ended, or waits for what only a caller can bring.
pub(crate) fn are_at_rest(runs: &[RunRecord]) -> bool {
    runs.iter().all(|run| is_at_rest(run, runs))
}

fn is_at_rest(run: &RunRecord, runs: &[RunRecord]) -> bool {
    let id = run.instance.instance_id;
    let lives = |run: &&RunRecord| {
        let is_in_turn = run.instance.waiting_on != Some(WaitingOn::Turn);
        is_in_turn && !run.instance.status.is_terminal()
    };
    let mut living = runs.iter().filter(lives);
    match &run.instance.waiting_on {
        _ if run.instance.status.is_terminal() => true,
        Some(WaitingOn::Pause) => true,
        Some(WaitingOn::Signal {
            due_at: None,
            names,
        }) => {
            let mut open = run.inbox.iter().filter(|message| !message.is_taken);
            !open.any(|message| names.contains(&message.name))
        }
        Some(WaitingOn::Child { .. }) => living.any(|other| other.instance.parent_id == Some(id)),
        Some(WaitingOn::Turn) => {
            let parent = run.instance.parent_id;
            living.any(|other| parent.is_some() && other.instance.parent_id == parent)
        }
        _ => false,
    }
}

/// Who is paused was.
fn pauses(history: &History, findings: &mut Findings) {
    let mut paused: HashMap<InstanceId, bool> = HashMap::new();
    for (_, _, effect) in history.effects() {
        if let Effect::PauseAsked {
            run,
            is_paused,
            is_done: true,
        } = effect
        {
            paused.insert(*run, *is_paused);
        }
    }
    for run in &history.runs {
        let id = run.instance.instance_id;
        let is_paused = run.instance.waiting_on == Some(WaitingOn::Pause);
        let is_asked = paused.get(&id).copied().unwrap_or_default();
        findings.expect(!is_paused || is_asked, Guarantee::Ends, id, || {
            "it is paused, and nobody asked for that".to_owned()
        });
    }
}

/// What was seen to have ended stays as it was.
fn finality(history: &History, findings: &mut Findings) {
    let mut seen: HashMap<InstanceId, InstanceStatus> = HashMap::new();
    let finally = history
        .runs
        .iter()
        .map(|run| (run.instance.instance_id, run.instance.status));
    let sights = history
        .moments
        .iter()
        .filter_map(|moment| match &moment.what {
            What::Saw { run, status, .. } => Some((*run, *status)),
            _ => None,
        });
    for (run, status) in sights.chain(finally) {
        if let Some(before) = seen.get(&run) {
            findings.expect(*before == status, Guarantee::Endings, run, || {
                format!("it was {before}, and then {status}")
            });
        }
        if status.is_terminal() {
            seen.insert(run, status);
        }
    }
    for run in &history.runs {
        let id = run.instance.instance_id;
        let after = history
            .later
            .iter()
            .find(|later| later.instance.instance_id == id);
        let is_same = after.is_some_and(|after| {
            !run.instance.status.is_terminal()
                || (after.instance == run.instance && after.journal.len() == run.journal.len())
        });
        findings.expect(is_same, Guarantee::Endings, id, || {
            "it changed after its end".to_owned()
        });
    }
}

fn cancellations(history: &History, findings: &mut Findings) {
    let (mut cancelled, mut undone, mut wished) = (HashSet::new(), HashSet::new(), HashSet::new());
    for (_, _, effect) in history.effects() {
        match effect {
            Effect::CancelAsked {
                run,
                outcome: Asked::AtOnce | Asked::Requested,
            } => {
                cancelled.insert(*run);
            }
            Effect::ChildEnded { run, .. } => {
                wished.insert(*run);
            }
            Effect::UndoAsked { run, is_done: true } => {
                undone.insert(*run);
            }
            _ => {}
        }
    }
    for run in &history.runs {
        let (id, status) = (run.instance.instance_id, run.instance.status);
        let is_asked = cancelled.contains(&id) || wished.contains(&id);
        match status {
            InstanceStatus::Cancelled => {
                let is_caused = is_asked || undone.contains(&id);
                findings.expect(is_caused, Guarantee::Endings, id, || {
                    "it is cancelled, and nobody asked for that".to_owned()
                });
            }
            InstanceStatus::Completed => {
                let holds = !is_asked && !undone.contains(&id);
                findings.expect(holds, Guarantee::Endings, id, || {
                    "its cancellation was acknowledged, and it completed".to_owned()
                });
            }
            InstanceStatus::Failed => {
                findings.expect(!is_asked, Guarantee::Endings, id, || {
                    "its cancellation was acknowledged, and it failed".to_owned()
                });
            }
            _ => {
                // One that is to be undone may be paused meanwhile.
                let is_paused = run.instance.waiting_on == Some(WaitingOn::Pause);
                let holds = !is_asked && (is_paused || !undone.contains(&id));
                findings.expect(holds, Guarantee::Endings, id, || {
                    "its cancellation was acknowledged, and it lives".to_owned()
                });
            }
        }
    }
    for (_, request, answer) in history.requests() {
        let (Request::Cancel { run, undoes }, Some((_, Answer::Done(_)))) = (request, answer)
        else {
            continue;
        };
        let known = if *undoes { &undone } else { &cancelled };
        findings.expect(known.contains(run), Guarantee::Endings, *run, || {
            "a cancellation was acknowledged that did not happen".to_owned()
        });
    }
}

/// A deadline is not passed, and nobody fails by it before.
fn deadlines(history: &History, findings: &mut Findings) {
    let deadlines = known_deadlines(history);
    for run in &history.runs {
        let (id, instance) = (run.instance.instance_id, &run.instance);
        let Some(deadline) = deadlines.get(&id) else {
            continue;
        };
        let due_at = instance.created_at + *deadline;
        let is_over = matches!(instance.failure, Some(RunFailure::DeadlineExceeded));
        // What is accepted at one time is of times that are a microsecond apart.
        let is_before = |at| at + Duration::from_millis(1) < due_at;
        let is_early = is_over && instance.finished_at.is_some_and(is_before);
        findings.expect(!is_early, Guarantee::Endings, id, || {
            format!("it failed by a deadline of {deadline:?} before that")
        });
        let is_paused = instance.waiting_on == Some(WaitingOn::Pause);
        let is_late = !instance.status.is_terminal() && !is_paused;
        findings.expect(!is_late, Guarantee::Ends, id, || {
            format!("it lives on after a deadline of {deadline:?}")
        });
    }
}

/// The deadlines of runs, where they are sure: of several starts under one key the first counts, and
/// which that is nobody may have heard.
fn known_deadlines(history: &History) -> HashMap<InstanceId, Duration> {
    let (mut deadlines, mut unsure) = (HashMap::new(), HashSet::new());
    let mut of_key: HashMap<(&str, &String), Option<Duration>> = HashMap::new();
    for (_, request, _) in history.requests() {
        if let Request::Start {
            workflow,
            key: Some(key),
            deadline,
            ..
        } = request
            && *of_key.entry((workflow, key)).or_insert(*deadline) != *deadline
        {
            unsure.insert((*workflow, key));
        }
    }
    for (_, request, answer) in history.requests() {
        if let Request::Start {
            workflow,
            key,
            deadline: Some(deadline),
            ..
        } = request
            && let Some((_, Answer::Done(Some(run)))) = answer
            && !key
                .as_ref()
                .is_some_and(|key| unsure.contains(&(*workflow, key)))
        {
            deadlines.insert(*run, *deadline);
        }
    }
    deadlines
}
