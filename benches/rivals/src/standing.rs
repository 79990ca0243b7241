// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! What came of the turns of ours and one rival, and the medians of it.

use std::fmt;

use forktex_testkit::figure::median;

use crate::contender::{Outcome, Steps};
use crate::measure::{Alone, Many, Player};

/// One turn: ours and theirs, one right after the other.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Turn {
    pub(crate) our_many: Many,
    pub(crate) their_many: Many,
    pub(crate) our_alone: Alone,
    pub(crate) their_alone: Alone,
}

impl fmt::Display for Turn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut side = |name, many: Many, alone: Alone| {
            write!(
                f,
                "{name} {:.0} steps/s, {:.3} ms a step, {:.3} ms to the first",
                many.steps_per_second, alone.step_ms, alone.first_step_ms
            )
        };
        side("ours", self.our_many, self.our_alone)?;
        side("; theirs", self.their_many, self.their_alone)
    }
}

/// A rival, with its turns so far.
pub(crate) struct Standing {
    pub(crate) player: Player,
    turns: Vec<Turn>,
    /// Why it does not run; it takes no more turns then.
    pub(crate) failure: Option<String>,
}

/// The median of ours and of theirs, and the spread of theirs.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Pair {
    pub(crate) ours: f64,
    pub(crate) theirs: f64,
    pub(crate) least: f64,
    pub(crate) most: f64,
}

impl Pair {
    /// The ratio of the medians.
    pub(crate) fn ratio(self) -> f64 {
        self.ours / self.theirs
    }
}

impl Standing {
    /// A rival that has run for its calibration, or could not.
    pub(crate) fn new(player: Player, calibrated: Outcome<()>) -> Self {
        let mut standing = Self {
            player,
            turns: Vec::new(),
            failure: None,
        };
        if let Err(fault) = calibrated {
            standing.fail(&fault.to_string());
        }
        standing
    }

    /// Notes a turn, or why there was none.
    pub(crate) fn note(&mut self, turn: Outcome<Turn>) {
        match turn {
            Ok(turn) => self.turns.push(turn),
            Err(fault) => self.fail(&fault.to_string()),
        }
    }

    fn fail(&mut self, reason: &str) {
        eprintln!("  {} does not run: {reason}", self.player.entry.facts.name);
        self.failure = Some(reason.to_owned());
    }

    /// Whether it takes no more turns.
    pub(crate) fn is_out(&self) -> bool {
        self.failure.is_some()
    }

    /// Whether it may be called the best: it keeps its steps, and nothing went wrong.
    pub(crate) fn is_eligible(&self) -> bool {
        self.player.entry.facts.steps == Steps::Durable && !self.is_out() && !self.turns.is_empty()
    }

    pub(crate) fn turns(&self) -> &[Turn] {
        &self.turns
    }

    /// The medians of one figure.
    pub(crate) fn pair(&self, ours: fn(&Turn) -> f64, theirs: fn(&Turn) -> f64) -> Pair {
        pair(
            self.turns.iter().map(ours).collect(),
            self.turns.iter().map(theirs).collect(),
        )
    }

    pub(crate) fn steps_per_second(&self) -> Pair {
        self.pair(
            |turn| turn.our_many.steps_per_second,
            |turn| turn.their_many.steps_per_second,
        )
    }

    pub(crate) fn step_ms(&self) -> Pair {
        self.pair(
            |turn| turn.our_alone.step_ms,
            |turn| turn.their_alone.step_ms,
        )
    }

    pub(crate) fn first_step_ms(&self) -> Pair {
        self.pair(
            |turn| turn.our_alone.first_step_ms,
            |turn| turn.their_alone.first_step_ms,
        )
    }
}

fn pair(ours: Vec<f64>, theirs: Vec<f64>) -> Pair {
    Pair {
        least: theirs.iter().copied().fold(f64::INFINITY, f64::min),
        most: theirs.iter().copied().fold(f64::NEG_INFINITY, f64::max),
        ours: median(ours),
        theirs: median(theirs),
    }
}

/// The rival that is best by a figure, of those that keep their steps.
pub(crate) fn best(standings: &[Standing], figure: fn(&Standing) -> f64) -> Option<&Standing> {
    standings
        .iter()
        .filter(|standing| standing.is_eligible())
        .max_by(|a, b| figure(a).total_cmp(&figure(b)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contender;
    use crate::measure::{Runs, Written};

    fn turn(theirs: f64) -> Turn {
        let many = |steps_per_second| Many {
            steps_per_second,
            seconds: 5.0,
            written: Written::default(),
        };
        let alone = Alone {
            first_step_ms: 1.0,
            step_ms: 1.0,
        };
        Turn {
            our_many: many(60.0),
            their_many: many(theirs),
            our_alone: alone,
            their_alone: alone,
        }
    }

    fn standing(name: &str, theirs: &[f64]) -> Standing {
        let mut rivals = contender::rivals().into_iter();
        let entry = rivals.find(|rival| rival.facts.name == name).unwrap();
        let settings = entry.facts.settings;
        let runs = Runs::Fixed(1);
        let player = Player {
            entry,
            settings,
            runs,
        };
        let mut standing = Standing::new(player, Ok(()));
        for theirs in theirs {
            standing.note(Ok(turn(*theirs)));
        }
        standing
    }

    #[test]
    fn the_medians_make_the_ratio() {
        let pair = standing("dbos", &[2.0, 9.0, 4.0]).steps_per_second();
        assert_eq!((pair.theirs, pair.least, pair.most), (4.0, 2.0, 9.0));
        assert!((pair.ratio() - 15.0).abs() < f64::EPSILON);
    }

    #[test]
    fn the_best_keeps_its_steps_and_did_not_fail() {
        let mut standings = vec![
            standing("dbos", &[3.0]),
            standing("durare", &[4.0]),
            standing("sayiir", &[5.0]),
            // Quick, but a chain of jobs.
            standing("graphile_worker", &[50.0]),
        ];
        standings[2].note(Err("a step is missing".into()));
        let best = best(&standings, |standing| standing.steps_per_second().theirs);
        assert_eq!(best.unwrap().player.entry.facts.name, "durare");
    }
}
