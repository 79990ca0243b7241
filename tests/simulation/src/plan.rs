// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! What a seed stands for: how many processes there are, what callers want of them and when, and how
//! likely what goes wrong is.

use std::collections::BTreeMap;
use std::time::Duration;

use fastrand::Rng;

use crate::cast::{Deed, Ending, Part, STARTED, Tale};

/// How likely things go wrong: in 100,000 calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Hazards {
    /// The process dies before the call, and again before its answer.
    pub(crate) death: u32,
    pub(crate) loss: u32,
    pub(crate) answer_loss: u32,
    pub(crate) doubling: u32,
    /// How long a slow call takes at most, in milliseconds.
    pub(crate) slow_ms_max: u64,
}

impl Hazards {
    pub(crate) const NONE: Self = Self {
        death: 0,
        loss: 0,
        answer_loss: 0,
        doubling: 0,
        slow_ms_max: 5,
    };
}

/// The plan of a world.
#[derive(Debug)]
pub(crate) struct Plan {
    pub(crate) processes: Vec<ProcessPlan>,
    pub(crate) hazards: Hazards,
    /// How long things go wrong.
    pub(crate) trouble: Duration,
    pub(crate) runs: Vec<RunPlan>,
    pub(crate) schedule: Option<Ticking>,
    /// Callers that start runs of the schedule by hand.
    pub(crate) fires_at: Vec<Duration>,
}

/// A schedule that the processes have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ticking {
    Often,
    Alone,
    InTurn,
    OnTime,
}

impl Ticking {
    pub(crate) fn workflow(self) -> &'static str {
        match self {
            Self::Often => "sim.often",
            Self::Alone => "sim.alone",
            Self::InTurn => "sim.in_turn",
            Self::OnTime => "sim.on_time",
        }
    }
}

/// A process, and what befalls it besides deaths.
#[derive(Debug)]
pub(crate) struct ProcessPlan {
    pub(crate) slots: u32,
    pub(crate) lease: Duration,
    pub(crate) boots_at: Duration,
    pub(crate) mishaps: Vec<(Duration, Mishap)>,
}

#[derive(Debug, Clone, Copy)]
pub(crate) enum Mishap {
    Dies,
    Freezes(Duration),
    LosesHeartbeats(Duration),
    /// It is stopped as for a deployment, and comes back.
    Drains,
}

/// A run that a caller wants, and what follows.
#[derive(Debug)]
pub(crate) struct RunPlan {
    pub(crate) at: Duration,
    pub(crate) workflow: &'static str,
    pub(crate) tale: Tale,
    pub(crate) key: Option<String>,
    pub(crate) priority: i16,
    pub(crate) deadline: Option<Duration>,
    /// In the order of their times, which count from the answer to the start.
    pub(crate) wishes: Vec<(Duration, Wish)>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Wish {
    Letter { number: u64, key: Option<String> },
    Cancel { grace: Duration },
    Undo,
    Pause,
    Resume,
    Retry,
    Fork,
    Look,
}

impl Plan {
    /// The plan of a seed.
    pub(crate) fn of(random: &mut Rng) -> Self {
        let trouble_ms = random.u64(12_000..30_000);
        let rate = |random: &mut Rng, rates: [u32; 4]| rates[random.usize(..4)];
        let hazards = Hazards {
            death: rate(random, [0, 0, 100, 500]),
            loss: rate(random, [0, 100, 500, 2_000]),
            answer_loss: rate(random, [0, 100, 500, 2_000]),
            doubling: rate(random, [0, 0, 1_000, 3_000]),
            slow_ms_max: [10, 100, 1_000, 4_000][random.usize(..4)],
        };
        let lease = Duration::from_millis(random.u64(1_000..4_000));
        let processes =
            (0..random.usize(1..=4)).map(|number| process(random, number, lease, trouble_ms));
        let processes = processes.collect();
        let mut runs: Vec<RunPlan> = Vec::new();
        for number in 0..random.u64(2..=7) {
            let mut run = run(random, number + 1, trouble_ms);
            // A second start under a key, with the same input or with another.
            if let (Some(earlier), 0) = (runs.last(), random.u32(..6))
                && earlier.key.is_some()
            {
                (run.key, run.workflow) = (earlier.key.clone(), earlier.workflow);
                if random.bool() {
                    run.tale = earlier.tale.clone();
                }
            }
            runs.push(run);
        }
        let tickings = [
            Ticking::Often,
            Ticking::Alone,
            Ticking::InTurn,
            Ticking::OnTime,
        ];
        let schedule = (random.u32(..3) == 0).then(|| tickings[random.usize(..4)]);
        let fires = if schedule.is_some() {
            random.usize(..2)
        } else {
            0
        };
        Self {
            processes,
            hazards,
            trouble: Duration::from_millis(trouble_ms),
            runs,
            schedule,
            fires_at: (0..fires)
                .map(|_| time(random, 5_000..trouble_ms))
                .collect(),
        }
    }
}

fn time(random: &mut Rng, ms: std::ops::Range<u64>) -> Duration {
    Duration::from_millis(random.u64(ms))
}

fn process(random: &mut Rng, number: usize, lease: Duration, trouble_ms: u64) -> ProcessPlan {
    let lease_ms = u64::try_from(lease.as_millis()).unwrap_or(1_000);
    let mishap = |random: &mut Rng| match random.u32(..4) {
        0 => Mishap::Dies,
        1 => Mishap::Freezes(time(random, 100..lease_ms * 3)),
        2 => Mishap::LosesHeartbeats(time(random, 500..lease_ms * 3)),
        _ => Mishap::Drains,
    };
    let mut mishaps: Vec<(Duration, Mishap)> = (0..random.usize(..4))
        .map(|_| (time(random, 500..trouble_ms), mishap(random)))
        .collect();
    mishaps.sort_by_key(|(at, _)| *at);
    ProcessPlan {
        slots: random.u32(1..=6),
        lease,
        boots_at: if number == 0 {
            Duration::ZERO
        } else {
            time(random, 0..3_000)
        },
        mishaps,
    }
}

fn run(random: &mut Rng, tag: u64, trouble_ms: u64) -> RunPlan {
    let workflow = STARTED[random.usize(..STARTED.len())];
    let nodes: &[&str] = match workflow {
        "sim.line" => &["a", "b", "c", "d", "e", "f", "g"],
        "sim.loop" => &["b", "work", "judge"],
        "sim.mail" => &["first", "second", "read", "late"],
        "sim.pause" => &["before", "after"],
        _ => &["h", "b"],
    };
    let mut parts = BTreeMap::new();
    for node in nodes {
        if random.u32(..3) > 0 {
            parts.insert(
                (*node).to_owned(),
                part(random, workflow == "sim.parent" && *node == "h"),
            );
        }
    }
    let mut wishes = wishes(random, workflow, &parts, tag);
    wishes.sort_by_key(|(at, _)| *at);
    RunPlan {
        at: time(random, 0..trouble_ms * 2 / 3),
        workflow,
        tale: Tale {
            tag,
            parts,
            rounds: random.u32(1..=4),
            ..Tale::default()
        },
        key: (random.u32(..4) == 0).then(|| format!("key-{tag}")),
        priority: random.i16(-1..=1),
        deadline: (random.u32(..10) == 0).then(|| time(random, 500..12_000)),
        wishes,
    }
}

fn part(random: &mut Rng, is_parent: bool) -> Part {
    let mut deeds: Vec<Deed> = Vec::new();
    if is_parent {
        deeds.push(family(random));
    } else if random.u32(..3) == 0 {
        deeds.extend((0..random.usize(1..=2)).map(|_| deed(random)));
    }
    Part {
        failures: [0, 0, 0, 0, 1, 2, 3][random.usize(..7)],
        kills: [0, 0, 0, 0, 0, 0, 0, 0, 1, 2, 4][random.usize(..11)],
        takes_ms: [0, 0, 3, 40, 300, 1_500][random.usize(..6)],
        deeds,
        ending: match random.u32(..24) {
            0 => Ending::Fatal,
            1 => Ending::Panics,
            2 => Ending::Hangs,
            _ => Ending::Done,
        },
        undo_failures: [0, 0, 1, 2][random.usize(..4)],
    }
}

fn deed(random: &mut Rng) -> Deed {
    match random.u32(..6) {
        0 => Deed::Sleep {
            ms: random.u64(1..4_000),
        },
        1 => Deed::Once,
        2 => Deed::Emit,
        3 => Deed::Letter {
            within_ms: Some(random.u64(1..6_000)),
        },
        4 => Deed::Letter { within_ms: None },
        _ => Deed::Heed {
            ms: random.u64(1..3_000),
        },
    }
}

fn family(random: &mut Rng) -> Deed {
    if random.u32(..3) == 0 {
        return Deed::Spawn {
            part: part(random, false),
        };
    }
    let count = random.usize(1..=5);
    Deed::Map {
        parts: (0..count).map(|_| part(random, false)).collect(),
        at_once: random.usize(1..=3),
        fails_fast: random.bool(),
    }
}

fn wishes(
    random: &mut Rng,
    workflow: &str,
    parts: &BTreeMap<String, Part>,
    tag: u64,
) -> Vec<(Duration, Wish)> {
    let mut wishes: Vec<(Duration, Wish)> = (0..random.usize(..3))
        .map(|_| (time(random, 0..20_000), Wish::Look))
        .collect();
    let takes_letters = |part: &Part| {
        part.deeds
            .iter()
            .any(|deed| matches!(deed, Deed::Letter { .. }))
    };
    if workflow == "sim.mail" || parts.values().any(takes_letters) {
        for place in 0..random.u64(..6) {
            let number = tag * 1_000 + place;
            let key = (random.u32(..3) == 0).then(|| format!("letter-{}", random.u32(..2)));
            let letter = Wish::Letter { number, key };
            let at = time(random, 0..9_000);
            // Sent again, as by a caller that heard nothing.
            if random.u32(..5) == 0 {
                wishes.push((at + time(random, 0..2_000), letter.clone()));
            }
            wishes.push((at, letter));
        }
    }
    match random.u32(..12) {
        0 => wishes.push((
            time(random, 0..8_000),
            Wish::Cancel {
                grace: time(random, 0..3_000),
            },
        )),
        1 => wishes.push((time(random, 0..8_000), Wish::Undo)),
        2 | 3 => {
            let at = time(random, 0..5_000);
            wishes.push((at, Wish::Pause));
            if random.u32(..4) > 0 {
                wishes.push((at + time(random, 0..6_000), Wish::Resume));
            }
        }
        4 => wishes.push((time(random, 2_000..15_000), Wish::Fork)),
        5 | 6 => wishes.push((time(random, 4_000..15_000), Wish::Retry)),
        _ => {}
    }
    wishes
}
