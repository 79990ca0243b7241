// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! Edges that wait, and the durable calls of a visit.

use super::*;
use crate::instance::journal::Answer;

/// `pending` waits for `mail` or `call`, or an hour; `mail` leads to `verified`, `call` back to
/// `pending`, the hour to the end.
fn waiting() -> Plan {
    let nodes = ["pending", "verified"].map(GraphNode::new).into();
    let edge = |from: &str, to: &str| Edge::new(vec![from.to_owned()], vec![to.to_owned()]);
    let signal = |name: &str| EdgeWait::Signal(name.to_owned());
    let edges = vec![
        edge(START, "pending"),
        Edge::waiting("pending", "verified", signal("mail")),
        Edge::waiting("pending", "pending", signal("call")),
        Edge::waiting("pending", END, EdgeWait::After(HOUR)),
        edge("verified", END),
    ];
    Plan::of(&Topology { nodes, edges }).unwrap()
}

const HOUR: Duration = Duration::from_hours(1);

fn signalled(signal: &str, message: i64, payload: Value) -> Event {
    Event::Signalled {
        message: MessageId(message),
        signal: signal.to_owned(),
        payload,
    }
}

fn completed() -> Event {
    Event::Completed {
        member: 0,
        elapsed: Duration::ZERO,
        delta: Delta::new(),
    }
}

/// The entries of some events, one after another, and where they lead; a replay must agree.
fn played(plan: &Plan, events: Vec<Event>) -> (Snapshot, Vec<Entry>) {
    let (mut snapshot, mut judge) = (Snapshot::new(plan), Recorder::default());
    let now = OffsetDateTime::UNIX_EPOCH;
    let mut entries = Vec::new();
    for event in events {
        entries.extend(transition(plan, &mut snapshot, event, now, &mut judge));
    }
    let recorded: Vec<Recorded> = (1..)
        .zip(&entries)
        .map(|(sequence, entry)| Recorded {
            sequence,
            recorded_at: now,
            entry: entry.clone(),
        })
        .collect();
    let (mut replayed, _) = Snapshot::replay(plan, &recorded).unwrap();
    if entries.is_empty() || snapshot.position == Position::Start {
        return (snapshot, entries);
    }
    // What was only entered has no entry yet.
    transition(plan, &mut replayed, Event::Claimed, now, &mut judge);
    assert_eq!(replayed, snapshot);
    (snapshot, entries)
}

#[test]
fn of_several_waits_the_first_event_decides() {
    let plan = waiting();
    let (snapshot, _) = played(&plan, vec![Event::Claimed, completed()]);
    let awaited = snapshot.awaited(&plan).unwrap();
    assert_eq!(awaited.signals, ["mail", "call"]);
    assert_eq!(awaited.due_at, Some(OffsetDateTime::UNIX_EPOCH + HOUR));
    assert_eq!(snapshot.current_nodes(&plan)[0].as_str(), "pending");

    let again = vec![
        Event::Claimed,
        completed(),
        signalled("call", 7, json!(1)),
        completed(),
        signalled("mail", 9, json!(2)),
    ];
    let (snapshot, entries) = played(&plan, again);
    assert_eq!(snapshot.current_nodes(&plan)[0].as_str(), "verified");
    let messages: Vec<MessageId> = entries.iter().filter_map(Entry::message).collect();
    assert_eq!(messages, [MessageId(7), MessageId(9)]);

    let timed_out = vec![Event::Claimed, completed(), Event::TimerFired];
    let (snapshot, _) = played(&plan, timed_out);
    assert_eq!(
        snapshot.position,
        Position::Ended(InstanceStatus::Completed)
    );
}

#[test]
fn a_signal_that_does_not_fit_is_passed_over_and_the_wait_goes_on() {
    let plan = waiting();
    let events = vec![
        Event::Claimed,
        completed(),
        signalled("mail", 1, Value::Null),
    ];
    let (snapshot, entries) = played(&plan, events);
    assert!(matches!(entries.last(), Some(Entry::SignalRefused { .. })));
    assert!(snapshot.awaited(&plan).is_some());
}

#[test]
fn what_is_not_waited_for_changes_nothing() {
    let plan = waiting();
    let early = vec![Event::Claimed, signalled("mail", 1, json!(1))];
    assert_eq!(played(&plan, early).1, []);
    let unknown = vec![Event::Claimed, completed(), signalled("post", 1, json!(1))];
    assert_eq!(played(&plan, unknown).1.len(), 1);
}

#[test]
fn a_call_is_remembered_through_retries_and_forgotten_with_its_visit() {
    let plan = waiting();
    let call = Call {
        key: "key charge".to_owned(),
        answer: Answer::Once(json!("r-1")),
    };
    let failed = Event::Failed {
        member: 0,
        elapsed: Duration::ZERO,
        failure: StepFailure::new(StepFailureKind::Error, "later"),
        retry_after: Some(Duration::ZERO),
    };
    let called = Event::Called { member: 0, call };
    let mut events = vec![Event::Claimed, called, failed];
    let (snapshot, _) = played(&plan, events.clone());
    assert_eq!(snapshot.member(0).unwrap().answers.len(), 1);
    events.extend([completed(), signalled("call", 1, json!(1))]);
    let (snapshot, _) = played(&plan, events);
    assert_eq!(snapshot.member(0).unwrap().visit, 2);
    assert!(snapshot.member(0).unwrap().answers.is_empty());
}
