// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! Each journal by itself, with what the bodies noted: numbers, visits, attempts, and the state.

use std::collections::{BTreeMap, HashMap, HashSet};

use forktex_flow::error::failure::StepFailureKind;
use forktex_flow::simulation::{JournalLine, RunRecord};
use forktex_flow::{EventKind, InstanceId, InstanceStatus};
use serde_json::Value;

use super::{Findings, Guarantee};
use crate::cast::{attempts_max, token};
use crate::history::{Body, History, Phase, What};

pub(super) fn check(history: &History, findings: &mut Findings) {
    let bodies: HashSet<&Body> = history
        .moments
        .iter()
        .filter_map(|moment| match &moment.what {
            What::Body(body) => Some(body),
            _ => None,
        })
        .collect();
    let by_id: HashMap<InstanceId, &RunRecord> = history
        .runs
        .iter()
        .map(|run| (run.instance.instance_id, run))
        .collect();
    for run in &history.runs {
        numbers(run, findings);
        end(run, findings);
        visits(run, findings);
        played(run, &bodies, &by_id, findings);
        state(run, findings);
    }
}

fn numbers(run: &RunRecord, findings: &mut Findings) {
    let id = run.instance.instance_id;
    for (expected, line) in (1..).zip(&run.journal) {
        let found = line.event.sequence;
        if found != expected {
            let detail = format!("its journal has entry {found} where {expected} belongs");
            findings.add(Guarantee::Checkpoints, id, detail);
            return;
        }
    }
}

/// The end is the last entry, and says what the status says.
fn end(run: &RunRecord, findings: &mut Findings) {
    let (id, status) = (run.instance.instance_id, run.instance.status);
    let ends: Vec<(usize, InstanceStatus)> = run
        .journal
        .iter()
        .enumerate()
        .filter_map(|(place, line)| Some((place, ended_as(&line.event.kind)?)))
        .collect();
    let last = run.journal.len().wrapping_sub(1);
    match (status.is_terminal(), ends.as_slice()) {
        (true, [(place, told)]) => {
            findings.expect(*place == last, Guarantee::Endings, id, || {
                "its journal goes on after its end".to_owned()
            });
            findings.expect(*told == status, Guarantee::Endings, id, || {
                format!("it is {status}, and its journal says {told}")
            });
        }
        (false, []) => {}
        (_, ends) => {
            let count = ends.len();
            let detail = format!("it is {status}, and its journal has {count} ends");
            findings.add(Guarantee::Endings, id, detail);
        }
    }
}

fn ended_as(kind: &EventKind) -> Option<InstanceStatus> {
    match kind {
        EventKind::RunCompleted => Some(InstanceStatus::Completed),
        EventKind::RunFailed { .. } => Some(InstanceStatus::Failed),
        EventKind::RunCancelled { .. } => Some(InstanceStatus::Cancelled),
        _ => None,
    }
}

#[derive(Default)]
struct VisitSoFar {
    failed: u32,
    is_over: bool,
}

fn visits(run: &RunRecord, findings: &mut Findings) {
    let id = run.instance.instance_id;
    let mut visits: BTreeMap<(&str, u32, bool), VisitSoFar> = BTreeMap::new();
    for line in &run.journal {
        let (node, visit, is_undo, attempt, failure) = match &line.event.kind {
            EventKind::NodeCompleted {
                node,
                visit,
                attempt,
                ..
            } => (node, visit, false, attempt, None),
            EventKind::NodeSkipped { node, visit } => (node, visit, false, &1, None),
            EventKind::AttemptFailed {
                node,
                visit,
                attempt,
                retry_after,
                ..
            } => (node, visit, false, attempt, Some(retry_after)),
            EventKind::Compensated {
                node,
                visit,
                attempt,
                ..
            } => (node, visit, true, attempt, None),
            EventKind::CompensationFailed {
                node,
                visit,
                attempt,
                retry_after,
                ..
            } => (node, visit, true, attempt, Some(retry_after)),
            _ => continue,
        };
        let so_far = visits.entry((node.as_str(), *visit, is_undo)).or_default();
        findings.expect(!so_far.is_over, Guarantee::Checkpoints, id, || {
            format!("visit {visit} of {node} goes on after it was over")
        });
        findings.expect(
            *attempt == so_far.failed + 1,
            Guarantee::Attempts,
            id,
            || {
                let failed = so_far.failed;
                format!("visit {visit} of {node} has attempt {attempt} after {failed} that failed")
            },
        );
        let max = if is_undo {
            2
        } else {
            attempts_max(node.as_str())
        };
        match failure {
            None => so_far.is_over = true,
            Some(retry_after) => {
                so_far.failed += 1;
                so_far.is_over = retry_after.is_none();
                findings.expect(so_far.failed <= max, Guarantee::Attempts, id, || {
                    format!("visit {visit} of {node} had more than {max} attempts")
                });
            }
        }
    }
}

/// What a journal tells of a body, a body did: its own, or that of a run whose journal it began with.
fn played(
    run: &RunRecord,
    bodies: &HashSet<&Body>,
    by_id: &HashMap<InstanceId, &RunRecord>,
    findings: &mut Findings,
) {
    let id = run.instance.instance_id;
    let line_of_descent: Vec<InstanceId> = std::iter::successors(Some(id), |run| {
        by_id.get(run).and_then(|run| run.instance.retry_of)
    })
    // A chain of retries is no longer than there are runs.
    .take(by_id.len() + 1)
    .collect();
    for line in &run.journal {
        let (node, visit, attempt, is_undo, phase) = match &line.event.kind {
            EventKind::NodeCompleted {
                node,
                visit,
                attempt,
                ..
            } => (node, visit, attempt, false, Phase::Done),
            EventKind::Compensated {
                node,
                visit,
                attempt,
                ..
            } => (node, visit, attempt, true, Phase::Done),
            EventKind::AttemptFailed {
                node,
                visit,
                attempt,
                failure,
                ..
            } => match failure.kind {
                StepFailureKind::WorkerLost | StepFailureKind::Timeout => continue,
                _ => (node, visit, attempt, false, Phase::Failed),
            },
            _ => continue,
        };
        let is_noted = line_of_descent.iter().any(|run| {
            bodies.contains(&Body {
                run: *run,
                node: node.as_str().to_owned(),
                visit: *visit,
                attempt: *attempt,
                is_undo,
                phase,
            })
        });
        findings.expect(is_noted, Guarantee::Checkpoints, id, || {
            format!("no body came to attempt {attempt} of visit {visit} of {node} being {phase:?}")
        });
    }
}

/// The state, folded here in another way than the engine does it.
fn state(run: &RunRecord, findings: &mut Findings) {
    let id = run.instance.instance_id;
    let mut changes: Vec<(u32, u16, &JournalLine)> = run
        .journal
        .iter()
        .filter_map(|line| {
            let (superstep, member) = line.place?;
            // A signal is merged after all that its node did.
            let is_signal = matches!(line.event.kind, EventKind::Signalled { .. });
            Some((superstep, if is_signal { u16::MAX } else { member }, line))
        })
        .collect();
    changes.sort_by_key(|(superstep, member, _)| (*superstep, *member));
    let (mut log, mut received, mut total) = (Vec::new(), Vec::new(), 0);
    for (_, _, line) in changes {
        let delta = match &line.event.kind {
            EventKind::NodeCompleted {
                node, visit, delta, ..
            } => {
                log.push(token(node.as_str(), *visit));
                total += 1;
                delta
            }
            EventKind::Compensated {
                node, visit, delta, ..
            } => {
                log.push(format!("undo {}", token(node.as_str(), *visit)));
                delta
            }
            EventKind::Signalled { delta, .. } => delta,
            _ => continue,
        };
        let numbers = delta
            .operations()
            .filter(|(_, field, _)| *field == "received");
        received.extend(
            numbers
                .filter_map(|(_, _, value)| value.as_array())
                .flatten()
                .cloned(),
        );
    }
    let found = &run.instance.state;
    let expected = [
        ("log", Value::from(log)),
        ("received", Value::from(received)),
        ("total", Value::from(total)),
        ("tag", run.instance.input["tag"].clone()),
    ];
    for (field, expected) in expected {
        findings.expect(found[field] == expected, Guarantee::State, id, || {
            format!(
                "its field {field} is {}, and should be {expected}",
                found[field]
            )
        });
    }
}
