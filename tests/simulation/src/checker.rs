// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! Judges a history by the guarantees of the engine. Pure: it looks at what was written down, and at
//! nothing else.

mod children;
mod endings;
mod journal;
mod ownership;
mod schedules;
mod signals;
mod starts;
#[cfg(test)]
mod tests;

pub(crate) use endings::are_at_rest;
use forktex_flow::InstanceId;

use crate::history::History;

/// A guarantee that did not hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Violation {
    pub(crate) guarantee: Guarantee,
    /// The run that it is about, where it is about one.
    pub(crate) run: Option<InstanceId>,
    pub(crate) detail: String,
}

/// What the engine promises. Where a report names a number, it is that of the design.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Guarantee {
    /// A run that was accepted ends, or waits visibly for what was never sent.
    Ends,
    /// A checkpoint is one transaction, and is there once.
    Checkpoints,
    /// A worker that lost a run changes nothing of it.
    Fencing,
    /// The state is what the journal makes of the input.
    State,
    /// Attempts are counted as the policy says.
    Attempts,
    /// Signals are taken in order, each once.
    Signals,
    /// A cancelled run ends as cancelled; what has ended does not change.
    Endings,
    /// A tick has one run at most, and none is lost.
    Schedules,
    /// Slots, concurrency and pauses hold.
    Limits,
    /// A key stands for one run.
    Keys,
    /// The engine does not panic.
    Soundness,
}

impl Guarantee {
    pub(crate) fn words(self) -> &'static str {
        match self {
            Self::Ends => {
                "1: a run that was accepted ends, or waits visibly for what was never sent"
            }
            Self::Checkpoints => "2: a checkpoint is one transaction, and is there once",
            Self::Fencing => "3: a worker that lost a run changes nothing of it",
            Self::State => "5: the state is what the journal makes of the input",
            Self::Attempts => "6: attempts are counted as the policy says",
            Self::Signals => "7: signals are taken in order, each once",
            Self::Endings => "8: a cancelled run ends as cancelled; what has ended does not change",
            Self::Schedules => "9: a tick has one run at most, and none is lost",
            Self::Limits => "limits: slots, concurrency and pauses hold",
            Self::Keys => "keys: a key stands for one run",
            Self::Soundness => "soundness: the engine does not panic, and a seed gives one history",
        }
    }
}

/// What was found so far.
#[derive(Debug, Default)]
struct Findings(Vec<Violation>);

impl Findings {
    fn add(&mut self, guarantee: Guarantee, run: impl Into<Option<InstanceId>>, detail: String) {
        self.0.push(Violation {
            guarantee,
            run: run.into(),
            detail,
        });
    }

    /// Adds it where something does not hold.
    fn expect(
        &mut self,
        holds: bool,
        guarantee: Guarantee,
        run: InstanceId,
        detail: impl FnOnce() -> String,
    ) {
        if !holds {
            self.add(guarantee, run, detail());
        }
    }
}

/// All guarantees that do not hold in a history.
pub(crate) fn check(history: &History) -> Vec<Violation> {
    let mut findings = Findings::default();
    for panic in &history.panics {
        findings.add(Guarantee::Soundness, None, panic.clone());
    }
    ownership::check(history, &mut findings);
    journal::check(history, &mut findings);
    signals::check(history, &mut findings);
    children::check(history, &mut findings);
    starts::check(history, &mut findings);
    schedules::check(history, &mut findings);
    endings::check(history, &mut findings);
    findings.0
}
