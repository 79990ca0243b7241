// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! The pure core, without a database: what each event leads to, and that a replayed journal is where
//! the live run was.

mod migrate;
mod waits;

use std::collections::HashSet;
use std::time::Duration;

use serde_json::json;
use time::OffsetDateTime;

use super::*;
use crate::definition::topology::{END, Edge, GraphNode, START, Topology};
use crate::error::failure::StepFailureKind;
use crate::instance::journal::Recorded;
use crate::state::reducer::Reducer;

/// A pipeline of stages; a node whose name ends in `?` has a condition.
fn plan(stages: &[&[&str]]) -> Plan {
    let clean = |name: &str| name.trim_end_matches('?').to_owned();
    let nodes = stages
        .iter()
        .flat_map(|stage| stage.iter())
        .map(|name| GraphNode {
            conditional: name.ends_with('?'),
            ..GraphNode::new(clean(name))
        })
        .collect();
    let groups: Vec<Vec<String>> = std::iter::once(vec![START.to_owned()])
        .chain(
            stages
                .iter()
                .map(|stage| stage.iter().map(|name| clean(name)).collect()),
        )
        .chain(std::iter::once(vec![END.to_owned()]))
        .collect();
    let edges = groups
        .windows(2)
        .map(|pair| Edge::new(pair[0].clone(), pair[1].clone()))
        .collect();
    Plan::of(&Topology { nodes, edges }).unwrap()
}

/// A state that remembers what was merged and says which conditions are false.
#[derive(Default)]
struct Recorder {
    merged: Vec<Delta>,
    false_nodes: HashSet<usize>,
    failing_node: Option<usize>,
    asked: Vec<usize>,
    with: bool,
    /// What routers answer, the last first; `Again` when there is none left.
    answers: Vec<&'static str>,
}

impl Judge for Recorder {
    fn merge(&mut self, deltas: &[Delta]) -> Result<Delta, StepFailure> {
        self.merged.extend(deltas.iter().cloned());
        let mut resolved = Delta::new();
        if self.with {
            resolved.insert(Reducer::Set, "total", json!(self.merged.len()));
        }
        Ok(resolved)
    }

    fn signalled(
        &mut self,
        _node: NodeIndex,
        signal: &str,
        payload: Value,
    ) -> Result<Delta, StepFailure> {
        if payload.is_null() {
            return Err(StepFailure::new(StepFailureKind::Payload, "does not fit"));
        }
        let mut delta = Delta::new();
        delta.insert(Reducer::Set, signal, payload);
        Ok(delta)
    }

    fn holds(&mut self, node: NodeIndex) -> Result<bool, StepFailure> {
        self.asked.push(node.0);
        if self.failing_node == Some(node.0) {
            return Err(StepFailure::new(StepFailureKind::Panic, "no answer"));
        }
        Ok(!self.false_nodes.contains(&node.0))
    }

    fn route(&mut self, node: NodeIndex) -> Result<&'static str, StepFailure> {
        if self.failing_node == Some(node.0) {
            return Err(StepFailure::new(StepFailureKind::Panic, "no answer"));
        }
        Ok(self.answers.pop().unwrap_or("Again"))
    }
}

/// `a` leads to `b`, whose router leads back to `a` or to the end. `?` makes a node conditional.
fn cycle(nodes: [&str; 2], max_visits: u32) -> Plan {
    let [a, b] = nodes.map(|name| name.trim_end_matches('?'));
    let nodes = nodes.map(|name| GraphNode {
        conditional: name.ends_with('?'),
        max_visits,
        ..GraphNode::new(name.trim_end_matches('?'))
    });
    let edge = |from: &str, to: &str| Edge::new(vec![from.to_owned()], vec![to.to_owned()]);
    let edges = vec![
        edge(START, a),
        edge(a, b),
        Edge::on_branch(b, "Again", a),
        Edge::on_branch(b, "Done", END),
    ];
    Plan::of(&Topology {
        nodes: nodes.into(),
        edges,
    })
    .unwrap()
}

fn set(field: &str) -> Delta {
    let mut delta = Delta::new();
    delta.insert(Reducer::Set, field, json!(1));
    delta
}

const NOW: OffsetDateTime = time::macros::datetime!(2026-01-01 0:00 UTC);

/// A run under way, with its journal.
struct Live {
    plan: Plan,
    snapshot: Snapshot,
    journal: Vec<Recorded>,
    judge: Recorder,
}

impl Live {
    fn new(plan: Plan, judge: Recorder) -> Self {
        let snapshot = Snapshot::new(&plan);
        let mut live = Self {
            plan,
            snapshot,
            journal: Vec::new(),
            judge,
        };
        live.happens(Event::Claimed);
        live
    }

    fn happens(&mut self, event: Event) -> Vec<Entry> {
        let first = self.snapshot.sequence + 1;
        let entries = transition(&self.plan, &mut self.snapshot, event, NOW, &mut self.judge);
        self.journal
            .extend((first..).zip(&entries).map(|(sequence, entry)| Recorded {
                sequence,
                recorded_at: NOW,
                entry: entry.clone(),
            }));
        let (replayed, _) = Snapshot::replay(&self.plan, &self.journal).unwrap();
        // Nothing is journalled of the very start, so only then the two may differ.
        if !self.journal.is_empty() && replayed.position != Position::Start {
            assert_eq!(
                replayed, self.snapshot,
                "the replayed run is where the live one is"
            );
        }
        entries
    }

    fn completes(&mut self, member: usize, delta: Delta) -> Vec<Entry> {
        self.happens(Event::Completed {
            member,
            elapsed: Duration::ZERO,
            delta,
        })
    }

    fn fails(
        &mut self,
        member: usize,
        kind: StepFailureKind,
        retry_after: Option<Duration>,
    ) -> Vec<Entry> {
        let failure = StepFailure::new(kind, "no");
        self.happens(Event::Failed {
            member,
            elapsed: Duration::ZERO,
            failure,
            retry_after,
        })
    }
}

#[test]
fn a_pipeline_runs_its_stages_in_order_and_completes() {
    let mut live = Live::new(plan(&[&["a"], &["b"]]), Recorder::default());
    assert_eq!(live.snapshot.due_members(NOW), [0]);
    assert_eq!(live.completes(0, set("x")).len(), 1);
    let last = live.completes(0, set("y"));
    assert!(
        matches!(&last[..], [Entry::NodeCompleted { at, .. }, Entry::RunCompleted] if at.node.as_str() == "b")
    );
    assert_eq!(live.judge.merged, [set("x"), set("y")]);
}

#[test]
fn parallel_updates_merge_in_declared_order_whatever_order_they_end_in() {
    let mut live = Live::new(plan(&[&["a", "b"], &["c"]]), Recorder::default());
    live.completes(1, set("from_b"));
    assert!(live.judge.merged.is_empty());
    live.completes(0, set("from_a"));
    assert_eq!(live.judge.merged, [set("from_a"), set("from_b")]);
    assert_eq!(live.snapshot.current_nodes(&live.plan)[0].as_str(), "c");
}

#[test]
fn two_parallel_nodes_that_set_one_field_fail_the_run_naming_both() {
    let mut live = Live::new(plan(&[&["a", "b"]]), Recorder::default());
    live.completes(0, set("x"));
    let entries = live.completes(1, set("x"));
    let Some((
        InstanceStatus::Failed,
        Some(RunFailure::ConcurrentWrites {
            field,
            first,
            second,
        }),
    )) = ending(&entries)
    else {
        panic!("{entries:?}")
    };
    assert_eq!(
        (field.as_str(), first.as_str(), second.as_str()),
        ("x", "a", "b")
    );
}

#[test]
fn skipped_stages_are_passed_in_the_same_transition() {
    let judge = Recorder {
        false_nodes: HashSet::from([1, 2]),
        ..Recorder::default()
    };
    let mut live = Live::new(plan(&[&["a"], &["b?"], &["c?"]]), judge);
    let entries = live.completes(0, set("x"));
    assert!(matches!(
        &entries[..],
        [
            Entry::NodeCompleted { .. },
            Entry::NodeSkipped { .. },
            Entry::NodeSkipped { .. },
            Entry::RunCompleted
        ]
    ));
    assert_eq!(live.judge.asked, [1, 2]);
}

#[test]
fn a_condition_is_asked_once_even_when_its_node_is_retried() {
    let mut live = Live::new(plan(&[&["a"], &["b?", "c"]]), Recorder::default());
    live.completes(0, Delta::new());
    live.fails(0, StepFailureKind::Error, Some(Duration::from_secs(5)));
    live.completes(1, Delta::new());
    live.completes(0, Delta::new());
    assert_eq!(live.judge.asked, [1]);
    assert_eq!(
        live.snapshot.position,
        Position::Ended(InstanceStatus::Completed)
    );
}

#[test]
fn a_condition_that_fails_ends_the_run_and_names_its_node() {
    let judge = Recorder {
        failing_node: Some(1),
        ..Recorder::default()
    };
    let mut live = Live::new(plan(&[&["a"], &["b?"]]), judge);
    let entries = live.completes(0, set("x"));
    assert!(matches!(
        ending(&entries),
        Some((InstanceStatus::Failed, Some(RunFailure::ConditionFailed { node, .. }))) if node.as_str() == "b"
    ));
    assert!(
        matches!(entries[0], Entry::NodeCompleted { .. }),
        "the output before it is kept"
    );
}

#[test]
fn a_retry_is_due_at_its_time_and_counts_its_attempts() {
    let mut live = Live::new(plan(&[&["a"]]), Recorder::default());
    live.fails(0, StepFailureKind::Error, Some(Duration::from_secs(5)));
    assert!(
        live.snapshot
            .due_members(NOW + Duration::from_secs(4))
            .is_empty()
    );
    assert_eq!(live.snapshot.due_members(NOW + Duration::from_secs(5)), [0]);
    let entries = live.fails(0, StepFailureKind::Error, None);
    assert!(matches!(
        ending(&entries),
        Some((
            InstanceStatus::Failed,
            Some(RunFailure::StepFailed { attempts: 2, .. })
        ))
    ));
}

#[test]
fn a_fatal_failure_is_not_retried() {
    let mut live = Live::new(plan(&[&["a"]]), Recorder::default());
    let entries = live.fails(0, StepFailureKind::Fatal, Some(Duration::ZERO));
    assert!(ending(&entries).is_some());
}

#[test]
fn what_a_with_reducer_made_is_journalled_after_the_nodes_it_came_from() {
    let judge = Recorder {
        with: true,
        ..Recorder::default()
    };
    let mut live = Live::new(plan(&[&["a"], &["b"]]), judge);
    let mut delta = Delta::new();
    delta.insert(Reducer::With, "total", json!(7));
    let entries = live.completes(0, delta);
    assert!(matches!(
        &entries[..],
        [Entry::NodeCompleted { .. }, Entry::Resolved { .. }]
    ));
    let (_, replayed) = Snapshot::replay(&live.plan, &live.journal).unwrap();
    let resolved: Vec<_> = replayed.iter().flat_map(Delta::operations).collect();
    assert_eq!(resolved, [(Reducer::Set, "total", &json!(1))]);
}

#[test]
fn a_run_whose_end_was_not_recorded_ends_without_running_anything() {
    let plan = plan(&[&["a"]]);
    let mut live = Live::new(plan.clone(), Recorder::default());
    live.completes(0, set("x"));
    live.journal.pop();
    let (mut snapshot, _) = Snapshot::replay(&plan, &live.journal).unwrap();
    let entries = transition(
        &plan,
        &mut snapshot,
        Event::Claimed,
        NOW,
        &mut Recorder::default(),
    );
    assert_eq!(entries, [Entry::RunCompleted]);
}

#[test]
fn a_cancellation_keeps_the_output_and_drops_what_would_come_next() {
    let mut live = Live::new(plan(&[&["a"]]), Recorder::default());
    let entries = live.completes(0, set("x"));
    let entries = cancelled(entries, "enough".to_owned());
    assert!(matches!(
        &entries[..],
        [Entry::NodeCompleted { .. }, Entry::RunCancelled { .. }]
    ));
    assert_eq!(ending(&entries), Some((InstanceStatus::Cancelled, None)));
}

#[test]
fn a_journal_of_another_topology_does_not_replay() {
    let mut live = Live::new(plan(&[&["a"], &["b"]]), Recorder::default());
    live.completes(0, set("x"));
    assert!(Snapshot::replay(&plan(&[&["other"]]), &live.journal).is_none());
}

#[test]
fn a_router_leads_round_a_cycle_until_it_says_otherwise_and_its_answers_are_recorded() {
    let judge = Recorder {
        answers: vec!["Done", "Again"],
        ..Recorder::default()
    };
    let mut live = Live::new(cycle(["a", "b"], 10), judge);
    for _ in 0..2 {
        live.completes(0, set("x"));
        assert_eq!(live.snapshot.current_nodes(&live.plan)[0].as_str(), "b");
        live.completes(0, set("y"));
    }
    assert_eq!(
        live.snapshot.position,
        Position::Ended(InstanceStatus::Completed)
    );
    let routed: Vec<(u32, &str)> = live
        .journal
        .iter()
        .filter_map(|recorded| match &recorded.entry {
            Entry::Routed { at, branch } => Some((at.visit, &**branch)),
            _ => None,
        })
        .collect();
    assert_eq!(routed, [(1, "Again"), (2, "Done")]);
    // What comes next is one commit with the checkpoint.
    let last = &live.journal[live.journal.len() - 3..];
    assert!(matches!(last[0].entry, Entry::NodeCompleted { .. }));
    assert_eq!(last[2].entry, Entry::RunCompleted);
    // The router is asked after the update of its node was merged.
    assert_eq!(live.judge.merged.len(), 4);
}

#[test]
fn one_visit_too_many_fails_the_run_and_names_the_node() {
    let mut live = Live::new(cycle(["a", "b"], 2), Recorder::default());
    for _ in 0..3 {
        live.completes(0, Delta::new());
    }
    let entries = live.completes(0, Delta::new());
    assert!(matches!(
        ending(&entries),
        Some((InstanceStatus::Failed, Some(RunFailure::VisitLimit { node, max_visits: 2 }))) if node.as_str() == "a"
    ));
}

#[test]
fn a_cycle_of_skipped_nodes_ends_at_the_limit_too() {
    let judge = Recorder {
        false_nodes: HashSet::from([0, 1]),
        ..Recorder::default()
    };
    let live = Live::new(cycle(["a?", "b?"], 3), judge);
    let last = &live.journal.last().unwrap().entry;
    assert!(
        matches!(last, Entry::RunFailed { failure: RunFailure::VisitLimit { node, .. } } if node.as_str() == "a")
    );
}

#[test]
fn a_router_that_fails_ends_the_run_and_keeps_the_output_before_it() {
    let judge = Recorder {
        failing_node: Some(1),
        ..Recorder::default()
    };
    let mut live = Live::new(cycle(["a", "b"], 3), judge);
    live.completes(0, set("x"));
    let entries = live.completes(0, set("y"));
    assert!(matches!(entries[0], Entry::NodeCompleted { .. }));
    assert!(matches!(
        ending(&entries),
        Some((InstanceStatus::Failed, Some(RunFailure::RouterFailed { node, .. }))) if node.as_str() == "b"
    ));
}

#[test]
fn c25_an_answer_without_an_edge_fails_the_run_and_names_the_node() {
    let judge = Recorder {
        answers: vec!["Elsewhere"],
        ..Recorder::default()
    };
    let mut live = Live::new(cycle(["a", "b"], 3), judge);
    live.completes(0, set("x"));
    let entries = live.completes(0, set("y"));
    assert!(matches!(
        ending(&entries),
        Some((InstanceStatus::Failed, Some(RunFailure::GraphStuck { node, branch })))
            if node.as_str() == "b" && branch == "Elsewhere"
    ));
}

#[test]
fn a_branch_that_the_plan_does_not_have_does_not_replay() {
    let mut live = Live::new(cycle(["a", "b"], 3), Recorder::default());
    live.completes(0, set("x"));
    live.completes(0, set("y"));
    for recorded in &mut live.journal {
        if let Entry::Routed { branch, .. } = &mut recorded.entry {
            *branch = "Elsewhere".to_owned();
        }
    }
    assert!(Snapshot::replay(&live.plan, &live.journal).is_none());
}

/// Random histories: whatever happens, a live run and its replay agree, and nothing follows the end.
#[test]
fn any_history_replays_to_where_the_run_is() {
    let mut random = fastrand::Rng::with_seed(7);
    for _ in 0..500 {
        let plan = if random.bool() {
            plan(&[&["a?"], &["b", "c?", "d"], &["e?"], &["f"]])
        } else {
            cycle(["a?", "b"], 5)
        };
        let false_nodes = (0..6).filter(|_| random.u8(..3) == 0).collect();
        let mut live = Live::new(
            plan,
            Recorder {
                false_nodes,
                answers: (0..4)
                    .map(|_| ["Again", "Done"][random.usize(..2)])
                    .collect(),
                ..Recorder::default()
            },
        );
        for _ in 0..60 {
            let unfinished = live.snapshot.unfinished_members();
            if unfinished.is_empty() {
                break;
            }
            let member = unfinished[random.usize(..unfinished.len())];
            match random.u8(..4) {
                0 => {
                    let retry_after = (random.u8(..4) > 0).then_some(Duration::ZERO);
                    live.fails(member, StepFailureKind::Error, retry_after);
                }
                _ => {
                    live.completes(member, Delta::new());
                }
            }
        }
        assert!(matches!(live.snapshot.position, Position::Ended(_)));
        let ends = live.journal.iter().filter(|recorded| {
            matches!(
                recorded.entry,
                Entry::RunCompleted | Entry::RunFailed { .. }
            )
        });
        assert_eq!(ends.count(), 1);
    }
}
