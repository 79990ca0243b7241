// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! Runs that were spawned: each is named by its parent, ends with it, and has its turn.

use std::collections::{HashMap, HashSet};

use forktex_flow::simulation::{Birth, Effect, Fate};
use forktex_flow::{EventKind, InstanceId, InstanceStatus};

use super::{Findings, Guarantee};
use crate::history::History;

pub(super) fn check(history: &History, findings: &mut Findings) {
    named(history, findings);
    turns(history, findings);
}

fn named(history: &History, findings: &mut Findings) {
    let there: HashSet<InstanceId> = history
        .runs
        .iter()
        .map(|run| run.instance.instance_id)
        .collect();
    let mut children: HashMap<InstanceId, HashSet<InstanceId>> = HashMap::new();
    for run in &history.runs {
        let id = run.instance.instance_id;
        for line in &run.journal {
            let EventKind::Called {
                children: spawned, ..
            } = &line.event.kind
            else {
                continue;
            };
            for child in spawned {
                findings.expect(there.contains(child), Guarantee::Checkpoints, id, || {
                    format!("it spawned run {child}, which is not there")
                });
            }
            children.entry(id).or_default().extend(spawned);
        }
    }
    for run in &history.runs {
        let Some(parent) = run.instance.parent_id else {
            continue;
        };
        let id = run.instance.instance_id;
        let is_named = children
            .get(&parent)
            .is_some_and(|children| children.contains(&id));
        findings.expect(is_named, Guarantee::Checkpoints, id, || {
            format!("its parent {parent} does not know of it")
        });
        let parent = history
            .runs
            .iter()
            .find(|run| run.instance.instance_id == parent);
        let is_cancelled =
            parent.is_some_and(|parent| parent.instance.status == InstanceStatus::Cancelled);
        let has_ended = run.instance.status.is_terminal();
        findings.expect(!is_cancelled || has_ended, Guarantee::Endings, id, || {
            "its parent was cancelled, and it lives".to_owned()
        });
    }
}

/// No more of a group live at once than may.
fn turns(history: &History, findings: &mut Findings) {
    let mut group_of: HashMap<InstanceId, &str> = HashMap::new();
    let mut at_once: HashMap<&str, usize> = HashMap::new();
    let mut living: HashMap<&str, HashSet<InstanceId>> = HashMap::new();
    for (_, _, effect) in history.effects() {
        match effect {
            Effect::Committed {
                children,
                outcome: Fate::Written,
                ..
            } => {
                for Birth {
                    run,
                    siblings,
                    waits_for_turn,
                    ..
                } in children
                {
                    let is_new = group_of.insert(*run, siblings).is_none();
                    if is_new && !waits_for_turn {
                        *at_once.entry(siblings).or_default() += 1;
                    }
                }
            }
            Effect::Claimed { run, .. } => {
                let Some(group) = group_of.get(run) else {
                    continue;
                };
                let living = living.entry(group).or_default();
                living.insert(*run);
                let (count, max) = (
                    living.len(),
                    at_once.get(group).copied().unwrap_or_default(),
                );
                findings.expect(count <= max, Guarantee::Limits, *run, || {
                    format!("{count} children live, and {max} may")
                });
            }
            effect => {
                if let Some(run) = super::endings::ended_by(effect)
                    && let Some(group) = group_of.get(&run)
                {
                    living.entry(group).or_default().remove(&run);
                }
            }
        }
        if let Effect::Committed { .. } = effect
            && let Some(run) = super::endings::ended_by(effect)
            && let Some(group) = group_of.get(&run)
        {
            living.entry(group).or_default().remove(&run);
        }
    }
}
