// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! Moves to another version: a run that moved goes on from where it was, whatever led there.

use std::collections::BTreeMap;

use serde_json::Value;

use super::*;
use crate::identifier::{DefinitionId, NodeName};
use crate::instance::journal::{Answer, Move, Pin, fold_state, node_records, present};
use crate::instance::migration::MigrationRefusal;
use crate::transition::migrate::{Passage, Passing, arrival};

fn pin(version: u32) -> Pin {
    Pin {
        definition: DefinitionId(i64::from(version)),
        version,
    }
}

fn renaming(names: &[(&str, &str)]) -> BTreeMap<NodeName, NodeName> {
    let name = NodeName::unchecked;
    let pairs = names.iter();
    pairs.map(|(old, new)| (name(old), name(new))).collect()
}

fn passing(live: &Live, to: &Plan, names: &[(&str, &str)]) -> Result<Passing, MigrationRefusal> {
    let version = u32::try_from(live.journal.len()).unwrap();
    let renamed = renaming(names);
    let way = Passage {
        from: (&live.plan, pin(version)),
        to: (to, pin(version + 1)),
        renamed: &renamed,
    };
    way.of(json!({"input": 1}), &live.journal)
}

/// The run as it goes on in another version, with what its judge knows.
fn moved(live: Live, to: Plan, names: &[(&str, &str)]) -> Live {
    let passing = passing(&live, &to, names).unwrap();
    let arrived = arrival(&to, &live.journal, &passing.moved).unwrap();
    let mut journal = live.journal;
    journal.push(Recorded {
        sequence: journal.last().map_or(0, |last| last.sequence) + 1,
        recorded_at: NOW,
        entry: Entry::Migrated(Box::new(passing.moved)),
    });
    let (snapshot, merged) = Snapshot::replay(&to, &journal).unwrap();
    assert!(merged.is_empty(), "all that was merged is in the state");
    assert_eq!(snapshot.sequence, journal.last().unwrap().sequence);
    assert_eq!(snapshot.current_nodes(&to), arrived.1);
    Live {
        plan: to,
        snapshot,
        journal,
        judge: live.judge,
    }
}

fn last_move(live: &Live) -> &Move {
    crate::instance::journal::last_move(&live.journal)
        .unwrap()
        .1
}

fn state(live: &Live) -> Value {
    fold_state(json!({"input": 1}), &live.journal).unwrap()
}

fn append(field: &str, item: &str) -> Delta {
    let mut delta = Delta::new();
    delta.insert(Reducer::Append, field, json!([item]));
    delta
}

const MINUTE: Option<Duration> = Some(Duration::from_mins(1));

#[test]
fn a_run_goes_on_at_its_node_whatever_comes_before_it_in_the_other_version() {
    let mut live = Live::new(plan(&[&["a"], &["b"], &["c"]]), Recorder::default());
    live.completes(0, append("lines", "a"));
    let before = state(&live);
    let mut live = moved(live, plan(&[&["x"], &["y"], &["b"], &["z"]]), &[]);
    assert_eq!(state(&live), before);
    assert_eq!(live.snapshot.due_members(NOW), [0]);
    live.completes(0, append("lines", "b"));
    let last = live.completes(0, append("lines", "z"));
    assert!(matches!(last.last(), Some(Entry::RunCompleted)), "{last:?}");
    assert_eq!(state(&live)["lines"], json!(["a", "b", "z"]));
    assert_eq!(state(&live)["input"], 1);
}

#[test]
fn a_run_that_has_recorded_nothing_begins_at_the_beginning_of_the_other_version() {
    let plan_of_then = plan(&[&["a"]]);
    let live = Live {
        snapshot: Snapshot::new(&plan_of_then),
        plan: plan_of_then,
        journal: Vec::new(),
        judge: Recorder::default(),
    };
    let mut live = moved(live, plan(&[&["first"], &["a"]]), &[]);
    assert_eq!(live.snapshot.position, Position::Start);
    live.happens(Event::Claimed);
    let entered = live.completes(0, set("x"));
    assert!(
        matches!(&entered[..], [Entry::NodeCompleted { at, .. }] if at.node.as_str() == "first")
    );
    assert_eq!(state(&live), json!({"input": 1, "x": 1}));
}

#[test]
fn failed_attempts_and_the_answers_of_calls_go_along_under_the_new_name() {
    let mut live = Live::new(plan(&[&["a"], &["b"]]), Recorder::default());
    live.completes(0, set("x"));
    let call = Call {
        key: "block".to_owned(),
        answer: Answer::Once(json!(7)),
    };
    live.happens(Event::Called { member: 0, call });
    live.fails(0, StepFailureKind::Error, MINUTE);
    let mut live = moved(live, plan(&[&["second"], &["c"]]), &[("b", "second")]);
    let member = live.snapshot.member(0).unwrap();
    assert_eq!(member.failed_attempts, 1);
    assert_eq!(member.visit, 1);
    assert_eq!(member.answers["block"], Answer::Once(json!(7)));
    assert_eq!(
        live.snapshot.next_retry(),
        Some(NOW + Duration::from_mins(1))
    );
    // And again, to a third version, while it still waits.
    live.fails(0, StepFailureKind::Error, MINUTE);
    let live = moved(live, plan(&[&["third"]]), &[("second", "third")]);
    let member = live.snapshot.member(0).unwrap();
    assert_eq!(member.failed_attempts, 2);
    assert_eq!(member.answers.len(), 1);
    // What the visit asked of others under its key, it asks under that key again.
    assert_eq!(member.called, Some(NodeName::unchecked("b")));
    let records = node_records(&live.journal);
    let names: Vec<&str> = records.iter().map(|record| record.name.as_str()).collect();
    assert_eq!(names, ["a", "third"]);
    assert_eq!(records[1].attempt, 2);
}

#[test]
fn members_that_are_done_or_skipped_stay_so_and_are_merged_with_the_others() {
    let judge = Recorder {
        false_nodes: HashSet::from([2]),
        ..Recorder::default()
    };
    let mut live = Live::new(plan(&[&["a", "b", "c?"]]), judge);
    live.completes(0, append("lines", "a"));
    let before = state(&live);
    let to = || plan(&[&["a", "second", "c?"], &["d"]]);
    let passing = passing(&live, &to(), &[("b", "second")]).unwrap();
    assert_eq!(passing.unmerged, [append("lines", "a")]);
    assert_eq!(
        passing.moved.state,
        json!({"input": 1}),
        "nothing is merged yet"
    );
    let mut live = moved(live, to(), &[("b", "second")]);
    assert_eq!(state(&live), before, "but it shows");
    assert_eq!(live.snapshot.due_members(NOW), [1]);
    live.judge.merged.clear();
    live.completes(1, append("lines", "b"));
    assert_eq!(
        live.judge.merged,
        [append("lines", "a"), append("lines", "b")]
    );
    assert_eq!(state(&live)["lines"], json!(["a", "b"]));
    assert_eq!(live.snapshot.due_members(NOW), [0], "it has come to d");
}

#[test]
fn two_nodes_can_change_their_names() {
    let mut live = Live::new(plan(&[&["a"], &["b"], &["c"]]), Recorder::default());
    live.completes(0, set("x"));
    live.fails(0, StepFailureKind::Error, MINUTE);
    let swap = [("a", "b"), ("b", "a")];
    let live = moved(live, plan(&[&["b"], &["a"], &["c"]]), &swap);
    assert_eq!(live.snapshot.current_nodes(&live.plan)[0].as_str(), "a");
    assert_eq!(live.snapshot.member(0).unwrap().failed_attempts, 1);
    let now = present(&live.journal);
    let names: Vec<&str> = now
        .iter()
        .filter_map(|recorded| recorded.entry.visit())
        .map(|at| at.node.as_str())
        .collect();
    assert_eq!(names, ["b", "a"]);
}

#[test]
fn what_the_other_version_has_not_is_told() {
    let mut live = Live::new(plan(&[&["a", "b"], &["c"]]), Recorder::default());
    live.completes(0, set("x"));
    let refusal = |to: &[&[&str]]| passing(&live, &plan(to), &[]).unwrap_err();
    assert_eq!(
        refusal(&[&["a"], &["c"]]),
        MigrationRefusal::NoSuchNode {
            node: NodeName::unchecked("b")
        }
    );
    for other in [[&["b", "a"][..], &["c"]], [&["a"], &["b"]]] {
        let refused = refusal(&other);
        assert!(
            matches!(refused, MigrationRefusal::OtherGroup { .. }),
            "{refused}"
        );
    }
    live.completes(1, set("y"));
    live.completes(0, set("z"));
    assert_eq!(
        passing(&live, &live.plan.clone(), &[]).unwrap_err(),
        MigrationRefusal::Ending
    );
}

/// A pipeline whose nodes can be undone.
fn undoable(names: &[&str]) -> Plan {
    let stages: Vec<&[&str]> = names.iter().map(std::slice::from_ref).collect();
    let mut plan = plan(&stages);
    plan.compensated = vec![true; names.len()];
    plan
}

#[test]
fn what_is_to_be_undone_goes_along_or_the_run_stays() {
    let mut live = Live::new(undoable(&["a", "b", "c"]), Recorder::default());
    live.completes(0, set("x"));
    let refused = passing(&live, &undoable(&["b"]), &[]).unwrap_err();
    assert!(matches!(refused, MigrationRefusal::NoUndo { visit: 1, .. }));
    assert!(passing(&live, &plan(&[&["a"], &["b"]]), &[]).is_err());
    let mut live = moved(live, undoable(&["first", "b"]), &[("a", "first")]);
    // It is undone in the reverse order, what was done before the move last.
    live.completes(0, set("y"));
    assert!(live.snapshot.position == Position::Ended(InstanceStatus::Completed));

    let mut live = Live::new(undoable(&["a", "b", "c"]), Recorder::default());
    live.completes(0, set("x"));
    let mut live = moved(live, undoable(&["first", "b", "c"]), &[("a", "first")]);
    live.completes(0, set("y"));
    live.fails(0, StepFailureKind::Fatal, None);
    assert_eq!(live.snapshot.current_nodes(&live.plan)[0].as_str(), "b");
    live.fails(0, StepFailureKind::Error, MINUTE);
    // In the midst of undoing, with an attempt that failed.
    let mut live = moved(live, undoable(&["first", "second"]), &[("b", "second")]);
    assert!(live.snapshot.is_undoing());
    assert_eq!(live.snapshot.member(0).unwrap().failed_attempts, 1);
    live.completes(0, set("u"));
    let last = live.completes(0, set("v"));
    assert!(
        matches!(&last[..], [Entry::Compensated { at, .. }, Entry::RunFailed { .. }] if at.node.as_str() == "first")
    );
    assert_eq!(
        state(&live),
        json!({"input": 1, "x": 1, "y": 1, "u": 1, "v": 1})
    );
    assert_eq!(last_move(&live).undoable.len(), 1);
}

#[test]
fn a_fork_or_a_retry_from_before_a_move_is_of_the_version_of_then() {
    let mut live = Live::new(plan(&[&["a"], &["b"], &["c"]]), Recorder::default());
    live.completes(0, set("x"));
    live.fails(0, StepFailureKind::Error, MINUTE);
    let mut live = moved(live, plan(&[&["b"], &["last"]]), &[]);
    let from = last_move(&live).from;
    live.completes(0, set("y"));
    live.fails(0, StepFailureKind::Fatal, None);
    let at = |node| fork::at_node(&live.journal, node, None).unwrap();
    // Before the move: what led there was of the other version.
    assert_eq!(at("a").pin, Some(from));
    assert_eq!(at("a").sequences, Vec::<i64>::new());
    // The visit that was under way then begins anew in this version, as does a later one.
    for (node, kept) in [("b", vec![1, 3]), ("last", vec![1, 2, 3, 4])] {
        let beginning = at(node);
        assert_eq!(
            (beginning.pin, &beginning.sequences),
            (None, &kept),
            "{node}"
        );
        let forked: Vec<Recorded> = (1..)
            .zip(
                kept.iter()
                    .map(|sequence| &live.journal[usize::try_from(sequence - 1).unwrap()]),
            )
            .map(|(sequence, recorded)| Recorded {
                sequence,
                ..recorded.clone()
            })
            .collect();
        let (snapshot, _) = Snapshot::replay(&live.plan, &forked).unwrap();
        assert_eq!(snapshot.current_nodes(&live.plan)[0].as_str(), node);
        assert_eq!(snapshot.member(0).unwrap().failed_attempts, 0);
    }
    // A retry repeats the node that failed, with all its attempts.
    let retry = fork::of_failed(&live.journal);
    assert_eq!((retry.pin, retry.sequences), (None, vec![1, 2, 3, 4]));
}

/// `node` waits for the signals, or an hour where there are none; all of them lead to the end.
fn waiting_at(node: &str, signals: &[&str]) -> Plan {
    let edge = |from: &str, to: &str| Edge::new(vec![from.to_owned()], vec![to.to_owned()]);
    let mut edges = vec![edge(START, "first"), edge("first", node)];
    let hour = EdgeWait::After(Duration::from_hours(1));
    let waits = signals
        .iter()
        .map(|name| EdgeWait::Signal((*name).to_owned()));
    edges.extend(
        waits
            .chain([hour])
            .map(|wait| Edge::waiting(node, END, wait)),
    );
    let nodes = ["first", node].map(GraphNode::new).into();
    Plan::of(&Topology { nodes, edges }).unwrap()
}

#[test]
fn a_run_that_waits_waits_for_what_the_other_version_waits_for_since_it_began_to() {
    let mut live = Live::new(waiting_at("pending", &["mail"]), Recorder::default());
    live.completes(0, set("x"));
    live.completes(0, set("y"));
    let to = waiting_at("held", &["call", "visit"]);
    let mut live = moved(live, to, &[("pending", "held")]);
    let awaited = live.snapshot.awaited(&live.plan).unwrap();
    assert_eq!(awaited.signals, ["call", "visit"]);
    assert_eq!(awaited.due_at, Some(NOW + Duration::from_hours(1)));
    let signalled = live.happens(Event::Signalled {
        message: MessageId(1),
        signal: "call".to_owned(),
        payload: json!(2),
    });
    assert!(matches!(signalled.last(), Some(Entry::RunCompleted)));
    assert_eq!(state(&live), json!({"input": 1, "x": 1, "y": 1, "call": 2}));

    // What is behind its node must be waited for as well.
    let mut live = Live::new(waiting_at("pending", &["mail"]), Recorder::default());
    live.completes(0, set("x"));
    live.completes(0, set("y"));
    let refused = passing(&live, &plan(&[&["pending"]]), &[]).unwrap_err();
    assert_eq!(
        refused,
        MigrationRefusal::OtherExit {
            node: NodeName::unchecked("pending")
        }
    );
    // A fork from before the wait is one of then, as the node had been done.
    let live = moved(live, waiting_at("pending", &["call"]), &[]);
    let from = last_move(&live).from;
    let beginning = fork::at_node(&live.journal, "pending", None).unwrap();
    assert_eq!((beginning.pin, beginning.sequences), (Some(from), vec![1]));
}

/// A random event that may happen to a run now.
fn event(random: &mut fastrand::Rng, live: &Live) -> Event {
    if let Some(awaited) = live.snapshot.awaited(&live.plan) {
        return match awaited.signals.first() {
            Some(signal) if random.bool() => Event::Signalled {
                message: MessageId(live.snapshot.sequence),
                signal: signal.clone(),
                payload: if random.u8(0..4) == 0 {
                    Value::Null
                } else {
                    json!(2)
                },
            },
            _ => Event::TimerFired,
        };
    }
    let unfinished = live.snapshot.unfinished_members();
    let Some(member) = random.choice(unfinished) else {
        return Event::Claimed;
    };
    let elapsed = Duration::ZERO;
    let field = ["x", "y"][random.usize(0..2)];
    match random.u8(0..10) {
        // Nothing is journalled of the very start, so an end there is another one when replayed.
        0 if live.snapshot.sequence > 0 => Event::UndoRequested {
            reason: "enough".to_owned(),
        },
        1 | 2 => Event::Failed {
            member,
            elapsed,
            failure: StepFailure::new(StepFailureKind::Error, "no"),
            retry_after: if random.u8(0..4) == 0 { None } else { MINUTE },
        },
        3 | 4 => Event::Called {
            member,
            call: Call {
                key: random.u8(0..3).to_string(),
                answer: Answer::Once(json!(random.u8(..))),
            },
        },
        _ => Event::Completed {
            member,
            elapsed,
            delta: append(field, "item"),
        },
    }
}

/// Whatever happens to a run, and however often it moves meanwhile to a version that differs in name
/// only: it is where it would be, and what it would be.
#[test]
fn a_move_to_an_equal_version_changes_nothing() {
    let plans = || {
        let mut mixed = undoable(&["a", "b"]);
        let group = plan(&[&["c"], &["d", "e?", "f"], &["g"]]);
        mixed.compensated[1] = false;
        let waiting = {
            let mut plan = waiting_at("pending", &["mail", "call"]);
            plan.compensated = vec![true, true];
            plan
        };
        [mixed, group, waiting, cycle(["a?", "b"], 9)]
    };
    let (mut moves, mut runs_that_moved) = (0, 0);
    for seed in 0..2_000 {
        let mut random = fastrand::Rng::with_seed(seed);
        let judge = || Recorder {
            false_nodes: HashSet::from([2]),
            with: seed % 2 == 0,
            ..Recorder::default()
        };
        let which = usize::try_from(seed % 4).unwrap();
        let mut still = Live::new(plans()[which].clone(), judge());
        let mut moving = Live::new(plans()[which].clone(), judge());
        let before = moves;
        for _ in 0..random.usize(1..30) {
            if matches!(still.snapshot.position, Position::Ended(_)) {
                break;
            }
            let happening = event(&mut random, &still);
            assert_eq!(
                still.happens(happening.clone()),
                moving.happens(happening),
                "seed {seed}"
            );
            if random.bool() {
                match passing(&moving, &plans()[which], &[]) {
                    Ok(_) => {
                        moving = moved(moving, plans()[which].clone(), &[]);
                        assert_eq!(moving.happens(Event::Claimed), []);
                        moves += 1;
                    }
                    Err(refused) => assert_eq!(refused, MigrationRefusal::Ending),
                }
            }
            let mut there = moving.snapshot.clone();
            there.sequence = still.snapshot.sequence;
            assert_eq!(there, still.snapshot, "seed {seed}");
            assert_eq!(state(&moving), state(&still), "seed {seed}");
            assert_eq!(
                node_records(&moving.journal),
                node_records(&still.journal),
                "seed {seed}"
            );
        }
        runs_that_moved += usize::from(moves > before);
    }
    assert!(
        moves > 3_000 && runs_that_moved > 1_400,
        "{moves} {runs_that_moved}"
    );
}
