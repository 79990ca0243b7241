// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! How often what happened, over many worlds: whoever reads that nothing was found should see what was
//! looked at.

use std::collections::BTreeMap;

use forktex_flow::EventKind;
use forktex_flow::simulation::{Effect, Fate};

use crate::history::{Answer, History, Lot, What};

/// Counts, by what is counted.
#[derive(Debug, Default, Clone)]
pub(crate) struct Tally(BTreeMap<&'static str, u64>);

impl Tally {
    pub(crate) fn count(&mut self, history: &History) {
        self.add("worlds", 1);
        for run in &history.runs {
            self.add("runs", 1);
            self.add(
                match run.instance.status.as_str() {
                    "completed" => "runs completed",
                    "failed" => "runs failed",
                    "cancelled" => "runs cancelled",
                    _ => "runs that wait at the end",
                },
                1,
            );
            for line in &run.journal {
                self.add_event(&line.event.kind);
            }
        }
        for moment in &history.moments {
            self.add_moment(&moment.what);
        }
    }

    fn add(&mut self, what: &'static str, count: u64) {
        *self.0.entry(what).or_default() += count;
    }

    fn add_event(&mut self, kind: &EventKind) {
        match kind {
            EventKind::NodeCompleted { .. } => self.add("checkpoints", 1),
            EventKind::AttemptFailed { .. } => self.add("attempts failed", 1),
            EventKind::Signalled { .. } => self.add("signals behind a node", 1),
            EventKind::TimerFired { .. } => self.add("timers", 1),
            EventKind::Compensated { .. } => self.add("visits undone", 1),
            EventKind::Called { .. } | EventKind::Emitted { .. } => self.add("durable calls", 1),
            _ => {}
        }
    }

    fn add_moment(&mut self, what: &What) {
        let what = match what {
            What::Process(Lot::Dies) => "processes that died",
            What::Process(Lot::Freezes(_)) => "processes that froze",
            What::Process(Lot::LosesHeartbeats(_)) => "processes whose heartbeats were lost",
            What::Process(Lot::Stops) => "processes that were drained",
            What::Answered {
                answer: Answer::Unknown,
                ..
            } => "callers that heard nothing",
            What::Answered { .. } => "callers that were answered",
            What::Effect(Effect::Claimed {
                is_suspect: true, ..
            }) => "claims of suspects",
            What::Effect(Effect::Claimed { .. }) => "claims",
            What::Effect(Effect::Committed {
                outcome: Fate::Fenced,
                ..
            }) => "checkpoints fenced",
            What::Effect(Effect::LeasesLost { .. }) => "leases lost",
            What::Effect(Effect::Elected) => "elections",
            What::Effect(Effect::Fired {
                started: Some(_), ..
            }) => "firings",
            What::Effect(Effect::Fired { started: None, .. }) => "firings that came second",
            _ => return,
        };
        self.add(what, 1);
    }

    pub(crate) fn merge(&mut self, other: &Self) {
        for (what, count) in &other.0 {
            self.add(what, *count);
        }
    }

    pub(crate) fn lines(&self) -> impl Iterator<Item = (&'static str, u64)> {
        self.0.iter().map(|(what, count)| (*what, *count))
    }
}
