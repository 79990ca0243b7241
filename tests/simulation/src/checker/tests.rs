// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! A check that cannot fail is worth nothing: each is shown a history that it must refuse, made by hand
//! from one that is good.

use std::time::Duration;

use forktex_flow::planted::PlantedFault;
use forktex_flow::simulation::{Asked, Birth, Effect, Fate, Next, RunRecord};
use forktex_flow::{EventKind, InstanceId, InstanceStatus, WaitingOn};

use super::{Guarantee, check};
use crate::campaign::judge;
use crate::history::{Answer, Body, History, Lot, Moment, Phase, Request, What};
use crate::world;

/// How many worlds are looked through for one that has what a test needs.
const SEEDS_MAX: u64 = 400;

/// A good history of which the function finds what it needs, and that thing.
fn found<T>(find: impl Fn(&History) -> Option<T>) -> (History, T) {
    crate::panics::keep();
    for seed in 1..=SEEDS_MAX {
        let history = world::play(seed, None).unwrap();
        if let Some(thing) = find(&history) {
            assert_eq!(
                check(&history),
                [],
                "seed {seed} is good before it is spoilt"
            );
            return (history, thing);
        }
    }
    panic!("no world of {SEEDS_MAX} has what this test needs")
}

fn place_of(history: &History, is_it: impl Fn(&RunRecord) -> bool) -> Option<usize> {
    history.runs.iter().position(is_it)
}

fn refuses(history: &History, guarantee: Guarantee, words: &str) {
    let violations = check(history);
    let is_found = violations
        .iter()
        .any(|violation| violation.guarantee == guarantee && violation.detail.contains(words));
    assert!(
        is_found,
        "nothing says {words:?} of {guarantee:?}: {violations:?}"
    );
}

/// A run that completed, and whose journal begins with a node that did.
fn completed(run: &RunRecord) -> bool {
    let first = run.journal.first().map(|line| &line.event.kind);
    run.instance.status == InstanceStatus::Completed
        && run.instance.retry_of.is_none()
        && matches!(first, Some(EventKind::NodeCompleted { .. }))
}

fn effect(history: &History, effect: Effect) -> Moment {
    Moment {
        at: history
            .moments
            .last()
            .map(|last| last.at)
            .unwrap_or_default(),
        process: 1,
        what: What::Effect(effect),
    }
}

#[test]
fn a_journal_with_a_gap_or_with_more_after_its_end_is_refused() {
    let (good, place) = found(|history| place_of(history, completed));
    let mut bad = good.clone();
    bad.runs[place].journal.remove(0);
    refuses(&bad, Guarantee::Checkpoints, "its journal has entry");

    let mut bad = good.clone();
    let mut line = bad.runs[place].journal[0].clone();
    line.event.sequence = i64::try_from(bad.runs[place].journal.len()).unwrap() + 1;
    bad.runs[place].journal.push(line);
    refuses(&bad, Guarantee::Endings, "goes on after its end");
    refuses(&bad, Guarantee::Checkpoints, "goes on after it was over");

    let mut bad = good.clone();
    bad.runs[place].journal.pop();
    refuses(&bad, Guarantee::Endings, "has 0 ends");

    let mut bad = good;
    bad.runs[place].instance.status = InstanceStatus::Failed;
    refuses(&bad, Guarantee::Endings, "its journal says completed");
}

#[test]
fn attempts_that_do_not_add_up_are_refused() {
    let is_retried = |history: &History| {
        place_of(history, |run| {
            let mut kinds = run.journal.iter().map(|line| &line.event.kind);
            kinds.any(|kind| matches!(kind, EventKind::AttemptFailed { .. }))
        })
    };
    let (good, place) = found(is_retried);
    let mut bad = good.clone();
    bad.runs[place]
        .journal
        .retain(|line| !matches!(line.event.kind, EventKind::AttemptFailed { .. }));
    refuses(&bad, Guarantee::Checkpoints, "belongs");

    let mut bad = good;
    for line in &mut bad.runs[place].journal {
        if let EventKind::AttemptFailed { attempt, .. } = &mut line.event.kind {
            *attempt += 1;
        }
    }
    refuses(&bad, Guarantee::Attempts, "after 0 that failed");
}

#[test]
fn a_checkpoint_that_no_body_came_to_is_refused() {
    let (mut bad, place) = found(|history| place_of(history, completed));
    let run = bad.runs[place].instance.instance_id;
    bad.moments.retain(|moment| match &moment.what {
        What::Body(body) => body.run != run || body.phase != Phase::Done,
        _ => true,
    });
    refuses(&bad, Guarantee::Checkpoints, "no body came to attempt");
}

#[test]
fn a_state_that_is_not_what_the_journal_makes_is_refused() {
    // Otherwise the values below would be right.
    let has_values = |run: &RunRecord| {
        let state = &run.instance.state;
        state["log"] != serde_json::json!([]) && state["total"] != 99 && state["tag"] != 0
    };
    let (good, place) = found(|history| place_of(history, |run| completed(run) && has_values(run)));
    for (field, value) in [
        ("log", serde_json::json!([])),
        ("total", 99.into()),
        ("tag", 0.into()),
    ] {
        let mut bad = good.clone();
        bad.runs[place].instance.state[field] = value;
        refuses(&bad, Guarantee::State, &format!("its field {field} is"));
    }
}

#[test]
fn a_checkpoint_under_an_epoch_that_has_moved_on_is_refused() {
    let (mut bad, run) = found(|history| {
        history.effects().find_map(|(_, _, effect)| match effect {
            Effect::Claimed { run, epoch, .. } if *epoch > 2 => Some(*run),
            _ => None,
        })
    });
    let late = Effect::Committed {
        run,
        epoch: 1,
        first_sequence: 1,
        entries: vec!["node_completed"],
        then: Next::Continue,
        outcome: Fate::Written,
        children: Vec::new(),
    };
    let late = effect(&bad, late);
    bad.moments.push(late);
    refuses(
        &bad,
        Guarantee::Fencing,
        "a checkpoint of epoch 1 was written",
    );
}

#[test]
fn a_claim_of_a_run_that_is_paused_or_over_is_refused() {
    let (good, (place, run)) = found(|history| {
        history
            .effects()
            .find_map(|(place, _, effect)| match effect {
                Effect::Claimed { run, epoch, .. } if *epoch > 1 => Some((place, *run)),
                _ => None,
            })
    });
    let (is_paused, is_done) = (true, true);
    let mut bad = good.clone();
    let pause = effect(
        &bad,
        Effect::PauseAsked {
            run,
            is_paused,
            is_done,
        },
    );
    bad.moments.insert(place, pause);
    refuses(&bad, Guarantee::Limits, "claimed while it was paused");

    let mut bad = good;
    let over = effect(&bad, Effect::Overdue { run });
    bad.moments.insert(place, over);
    refuses(&bad, Guarantee::Endings, "claimed after its end");
}

#[test]
fn more_runs_at_a_time_than_slots_are_refused() {
    let (mut bad, runs) = found(|history| {
        let runs: Vec<InstanceId> = history
            .runs
            .iter()
            .map(|run| run.instance.instance_id)
            .collect();
        (runs.len() > 6).then_some(runs)
    });
    for run in runs {
        let body = Body {
            run,
            node: "a".to_owned(),
            visit: 1,
            attempt: 1,
            is_undo: false,
            phase: Phase::Began,
        };
        bad.moments.push(Moment {
            at: Duration::ZERO,
            process: 9_991,
            what: What::Body(body),
        });
    }
    refuses(
        &bad,
        Guarantee::Limits,
        "process 9991 plays 7 runs at a time",
    );
}

#[test]
fn signals_that_are_lost_doubled_or_out_of_order_are_refused() {
    let has_two = |run: &RunRecord| {
        run.journal
            .iter()
            .filter(|line| line.message.is_some())
            .count()
            > 1
    };
    let (good, place) = found(|history| {
        place_of(history, |run| {
            run.instance.retry_of.is_none() && has_two(run)
        })
    });
    let mut bad = good.clone();
    let lines = bad.runs[place]
        .journal
        .iter_mut()
        .filter(|line| line.message.is_some());
    let mut lines: Vec<_> = lines.collect();
    let (first, second) = (lines[0].message, lines[1].message);
    lines[1].message = first;
    refuses(&bad, Guarantee::Signals, "was taken twice");
    refuses(&bad, Guarantee::Signals, "the run did not take it");

    let mut bad = good.clone();
    let lines = bad.runs[place]
        .journal
        .iter_mut()
        .filter(|line| line.message.is_some());
    let mut lines: Vec<_> = lines.collect();
    (lines[0].message, lines[1].message) = (second, first);
    refuses(&bad, Guarantee::Signals, "was taken after message");

    let mut bad = good.clone();
    bad.runs[place].inbox.clear();
    refuses(&bad, Guarantee::Signals, "was acknowledged");
    refuses(&bad, Guarantee::Signals, "was never sent to it");

    let mut bad = good.clone();
    let message = bad.runs[place].inbox[0].clone();
    bad.runs[place].inbox.extend([message.clone(), message]);
    refuses(&bad, Guarantee::Signals, "and is there");

    let mut bad = good.clone();
    bad.runs[place].inbox[0].is_taken = false;
    bad.runs[place].instance.waiting_on = Some(WaitingOn::Signal {
        names: vec!["letter".to_owned()],
        due_at: None,
    });
    refuses(&bad, Guarantee::Signals, "is still in the inbox");
    refuses(&bad, Guarantee::Signals, "waits for a signal that is there");

    let mut bad = good;
    for message in &mut bad.runs[place].inbox {
        message.key = Some("same".to_owned());
    }
    refuses(&bad, Guarantee::Signals, "two signals have the key same");
}

#[test]
fn a_signal_that_is_accepted_after_the_end_is_refused() {
    let (mut bad, place) = found(|history| place_of(history, completed));
    let late = Effect::Posted {
        run: bad.runs[place].instance.instance_id,
        name: "letter".to_owned(),
        payload: serde_json::json!({"number": 1}),
        is_accepted: true,
    };
    let late = effect(&bad, late);
    bad.moments.push(late);
    refuses(&bad, Guarantee::Signals, "accepted after its end");
}

#[test]
fn a_run_that_is_lost_or_stuck_is_refused() {
    let (good, run) = found(|history| {
        history
            .requests()
            .find_map(|(_, request, answer)| match (request, answer) {
                (Request::Start { .. }, Some((_, Answer::Done(Some(run))))) => Some(*run),
                _ => None,
            })
    });
    let mut bad = good.clone();
    bad.runs.retain(|known| known.instance.instance_id != run);
    refuses(&bad, Guarantee::Ends, "acknowledged, and is not there");

    let mut bad = good.clone();
    bad.is_at_rest = false;
    let place = place_of(&bad, |known| known.instance.instance_id == run).unwrap();
    bad.runs[place].instance.status = InstanceStatus::Running;
    bad.runs[place].instance.waiting_on = Some(WaitingOn::Worker);
    refuses(&bad, Guarantee::Ends, "it has not ended");

    bad.runs[place].instance.waiting_on = Some(WaitingOn::Child { remaining: 1 });
    bad.runs.retain(|known| known.instance.parent_id.is_none());
    refuses(&bad, Guarantee::Ends, "it has not ended");

    let mut bad = good;
    bad.runs[place].instance.waiting_on = Some(WaitingOn::Pause);
    refuses(&bad, Guarantee::Ends, "nobody asked for that");
}

#[test]
fn a_cancellation_that_comes_to_nothing_or_from_nowhere_is_refused() {
    let (good, place) = found(|history| place_of(history, completed));
    let run = good.runs[place].instance.instance_id;
    let mut bad = good.clone();
    let outcome = Asked::Requested;
    bad.moments
        .insert(0, effect(&good, Effect::CancelAsked { run, outcome }));
    refuses(&bad, Guarantee::Endings, "acknowledged, and it completed");

    let mut bad = good.clone();
    bad.runs[place].instance.status = InstanceStatus::Cancelled;
    refuses(&bad, Guarantee::Endings, "nobody asked for that");

    let mut bad = good.clone();
    bad.later[place].instance.finished_at = None;
    refuses(&bad, Guarantee::Endings, "it changed after its end");

    let mut bad = good;
    let (status, visits) = (InstanceStatus::Failed, 0);
    let what = What::Saw {
        run,
        status,
        visits,
    };
    bad.moments.insert(
        0,
        Moment {
            at: Duration::ZERO,
            process: 1,
            what,
        },
    );
    refuses(
        &bad,
        Guarantee::Endings,
        "it was failed, and then completed",
    );
}

#[test]
fn a_key_that_stands_for_two_runs_is_refused() {
    let (mut bad, (tag, workflow, run)) = found(|history| {
        history
            .requests()
            .find_map(|(_, request, answer)| match (request, answer) {
                (Request::Start { tag, workflow, .. }, Some((_, Answer::Done(Some(run))))) => {
                    Some((*tag, *workflow, *run))
                }
                _ => None,
            })
    });
    let other = bad
        .runs
        .iter()
        .map(|known| known.instance.instance_id)
        .find(|other| *other != run)
        .unwrap();
    for (call, run) in [(90_001, run), (90_002, other)] {
        let key = Some("one".to_owned());
        let request = Request::Start {
            tag,
            workflow,
            key,
            deadline: None,
        };
        for what in [
            What::Asked { call, request },
            What::Answered {
                call,
                answer: Answer::Done(Some(run)),
            },
        ] {
            bad.moments.push(Moment {
                at: Duration::ZERO,
                process: 1,
                what,
            });
        }
    }
    refuses(&bad, Guarantee::Keys, "stands for run");
}

#[test]
fn children_that_their_parent_does_not_know_or_that_are_too_many_are_refused() {
    let is_child = |run: &RunRecord| run.instance.parent_id.is_some();
    let (mut bad, place) = found(|history| place_of(history, is_child));
    bad.runs[place].instance.parent_id = Some(bad.runs[place].instance.instance_id);
    refuses(&bad, Guarantee::Checkpoints, "does not know of it");

    let (mut bad, (place, children)) = found(|history| {
        history
            .effects()
            .find_map(|(place, _, effect)| match effect {
                Effect::Committed {
                    children,
                    outcome: Fate::Written,
                    ..
                } if children.iter().any(|child: &Birth| child.waits_for_turn) => {
                    Some((place, children.clone()))
                }
                _ => None,
            })
    });
    for child in children {
        let claim = Effect::Claimed {
            run: child.run,
            epoch: 0,
            is_suspect: false,
        };
        let claim = effect(&bad, claim);
        bad.moments.insert(place + 1, claim);
    }
    refuses(&bad, Guarantee::Limits, "children live");
}

#[test]
fn ticks_that_are_lost_doubled_or_overlap_are_refused() {
    let ticked = |history: &History, workflow: &str| -> Vec<usize> {
        let runs = history.runs.iter().enumerate();
        let mut ticked: Vec<_> = runs
            .filter(|(_, run)| run.instance.workflow_name.as_str() == workflow)
            .filter(|(_, run)| super::schedules::tick(run).is_some())
            .map(|(place, run)| (run.instance.created_at, place))
            .collect();
        ticked.sort_unstable();
        ticked.into_iter().map(|(_, place)| place).collect()
    };
    let (good, places) = found(|history| {
        let places = ticked(history, "sim.often");
        (places.len() > 3).then_some(places)
    });
    let mut bad = good.clone();
    bad.runs.remove(places[1]);
    refuses(
        &bad,
        Guarantee::Schedules,
        "has no run for the ticks between",
    );

    let mut bad = good;
    let again = bad.runs[places[1]].clone();
    bad.runs.push(again);
    refuses(&bad, Guarantee::Schedules, "has 2 runs");

    let (mut bad, places) = found(|history| {
        let places = ticked(history, "sim.alone");
        (places.len() > 2).then_some(places)
    });
    let begun = bad.runs[places[0]].instance.created_at;
    bad.runs[places[1]].instance.created_at = begun;
    refuses(&bad, Guarantee::Schedules, "it began while");
    refuses(&bad, Guarantee::Schedules, "came before it");
}

#[test]
fn a_panic_of_the_engine_is_told() {
    let (mut bad, ()) = found(|_| Some(()));
    bad.panics.push("an assertion".to_owned());
    refuses(&bad, Guarantee::Soundness, "an assertion");
}

#[test]
fn each_planted_fault_is_found() {
    crate::panics::keep();
    for fault in PlantedFault::ALL {
        let is_found = |seed: &u64| !judge(*seed, Some(fault), false).1.is_empty();
        let seed = (1..=SEEDS_MAX).find(is_found);
        println!("{} is found at seed {seed:?}", fault.as_str());
        assert!(seed.is_some(), "{}", fault.as_str());
    }
}

/// Without the seed in the runtime only what the plan gives is the same again.
#[cfg(tokio_unstable)]
#[test]
fn a_seed_gives_the_same_history_again() {
    crate::panics::keep();
    for seed in 1..=100 {
        let (one, again) = (world::play(seed, None), world::play(seed, None));
        assert_eq!(
            one.unwrap().digest(),
            again.unwrap().digest(),
            "seed {seed}"
        );
    }
}

#[test]
fn a_world_has_deaths_and_still_comes_to_rest() {
    let (history, deaths) = found(|history| {
        let is_death = |moment: &&Moment| moment.what == What::Process(Lot::Dies);
        let deaths = history.moments.iter().filter(is_death).count();
        (deaths > 3).then_some(deaths)
    });
    assert!(history.is_at_rest, "{deaths} deaths");
}
