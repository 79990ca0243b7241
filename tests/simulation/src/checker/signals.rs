// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! The mailboxes: what was sent is there, and what was taken was taken once and in order.

use std::collections::{BTreeMap, HashMap, HashSet};

use forktex_flow::simulation::{Effect, RunRecord};
use forktex_flow::{InstanceId, WaitingOn};

use super::{Findings, Guarantee};
use crate::history::{Answer, History, Request};

pub(super) fn check(history: &History, findings: &mut Findings) {
    for run in &history.runs {
        taken(run, findings);
        keys(run, findings);
    }
    sent(history, findings);
}

/// What the journal says was taken, and what the inbox says, are the same; each once, in order.
fn taken(run: &RunRecord, findings: &mut Findings) {
    let id = run.instance.instance_id;
    let by_journal: Vec<i64> = run.journal.iter().filter_map(|line| line.message).collect();
    // A run that goes on where another was has that one's entries and an inbox of its own.
    let is_fork = run.instance.retry_of.is_some();
    let mut seen = HashSet::new();
    for message in &by_journal {
        findings.expect(seen.insert(*message), Guarantee::Signals, id, || {
            format!("message {message} was taken twice")
        });
    }
    let mut last: BTreeMap<&str, i64> = BTreeMap::new();
    for message in &by_journal {
        let known = run.inbox.iter().find(|known| known.id == *message);
        let Some(known) = known else {
            findings.expect(is_fork, Guarantee::Signals, id, || {
                format!("message {message} was taken, and was never sent to it")
            });
            continue;
        };
        findings.expect(known.is_taken, Guarantee::Signals, id, || {
            format!("message {message} was taken, and is still in the inbox")
        });
        let last = last.entry(known.name.as_str()).or_default();
        findings.expect(*message > *last, Guarantee::Signals, id, || {
            format!("message {message} was taken after message {last}")
        });
        *last = *message;
    }
    for message in run.inbox.iter().filter(|message| message.is_taken) {
        findings.expect(
            by_journal.contains(&message.id),
            Guarantee::Signals,
            id,
            || {
                format!(
                    "message {} is gone from the inbox, and the run did not take it",
                    message.id
                )
            },
        );
    }
    if let Some(WaitingOn::Signal { names, .. }) = &run.instance.waiting_on {
        let mut open = run.inbox.iter().filter(|message| !message.is_taken);
        let open = open.find(|message| names.contains(&message.name));
        findings.expect(open.is_none(), Guarantee::Signals, id, || {
            format!("it waits for a signal that is there: {open:?}")
        });
    }
}

fn keys(run: &RunRecord, findings: &mut Findings) {
    let mut seen = HashSet::new();
    for message in &run.inbox {
        if let Some(key) = &message.key {
            let is_new = seen.insert((&message.name, key));
            findings.expect(is_new, Guarantee::Signals, run.instance.instance_id, || {
                format!("two signals have the key {key}")
            });
        }
    }
}

/// Each inbox has what was acknowledged, and nothing that was not sent.
fn sent(history: &History, findings: &mut Findings) {
    let mut asked: HashMap<(InstanceId, u64), (usize, usize)> = HashMap::new();
    let mut keyed: HashSet<(InstanceId, &String)> = HashSet::new();
    for (_, request, answer) in history.requests() {
        let Request::Send { run, number, key } = request else {
            continue;
        };
        let (sent, accepted) = asked.entry((*run, *number)).or_default();
        *sent += 1;
        match answer.map(|(_, answer)| answer) {
            Some(Answer::Done(_)) => *accepted += 1,
            Some(Answer::Known) => {
                keyed.extend(key.as_ref().map(|key| (*run, key)));
            }
            Some(Answer::Refused(reason)) => {
                findings.add(
                    Guarantee::Signals,
                    *run,
                    format!("a signal was refused: {reason}"),
                );
            }
            _ => {}
        }
    }
    for run in &history.runs {
        let id = run.instance.instance_id;
        let number =
            |message: &forktex_flow::simulation::Message| message.payload["number"].as_u64();
        for ((_, wanted), (sent, accepted)) in asked.iter().filter(|((run, _), _)| *run == id) {
            let found = run
                .inbox
                .iter()
                .filter(|message| number(message) == Some(*wanted))
                .count();
            findings.expect(found >= *accepted, Guarantee::Signals, id, || {
                format!(
                    "signal {wanted} was acknowledged {accepted} times, and is there {found} times"
                )
            });
            findings.expect(found <= *sent, Guarantee::Signals, id, || {
                format!("signal {wanted} was sent {sent} times, and is there {found} times")
            });
        }
        for (_, key) in keyed.iter().filter(|(run, _)| *run == id) {
            let is_there = run
                .inbox
                .iter()
                .any(|message| message.key.as_ref() == Some(key));
            findings.expect(is_there, Guarantee::Signals, id, || {
                format!("a signal with the key {key} was said to be known, and is not there")
            });
        }
    }
    let mut ended = HashSet::new();
    for (_, _, effect) in history.effects() {
        if let Some(run) = super::endings::ended_by(effect) {
            ended.insert(run);
        }
        if let Effect::Posted {
            run,
            is_accepted: true,
            ..
        } = effect
        {
            findings.expect(!ended.contains(run), Guarantee::Signals, *run, || {
                "a signal was accepted after its end".to_owned()
            });
        }
    }
}
