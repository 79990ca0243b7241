// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! What happened in one world, in its order: what the checker judges and what a failing seed prints.

use std::fmt::Write as _;
use std::time::Duration;

use forktex_flow::simulation::{Effect, RunRecord};
use forktex_flow::{InstanceId, InstanceStatus, ScheduleInfo};
use sha2::{Digest, Sha256};

/// All that is known of one world.
#[derive(Debug, Clone)]
pub(crate) struct History {
    pub(crate) seed: u64,
    pub(crate) moments: Vec<Moment>,
    /// How many slots the processes have, by their places.
    pub(crate) slots: Vec<u32>,
    /// The runs when the world had come to rest, or was given up.
    pub(crate) runs: Vec<RunRecord>,
    /// The same a while later: what has ended must be as it was.
    pub(crate) later: Vec<RunRecord>,
    pub(crate) schedules: Vec<ScheduleInfo>,
    /// Whether it came to rest in the time that it had after the last fault.
    pub(crate) is_at_rest: bool,
    /// Panics that nobody planned.
    pub(crate) panics: Vec<String>,
}

/// Something that happened.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Moment {
    /// When, since the clock began.
    pub(crate) at: Duration,
    /// The process in which it happened; 0 is the one without a driver, to which nothing happens.
    pub(crate) process: u32,
    pub(crate) what: What,
}

/// What can happen.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum What {
    /// A call did something to the tables.
    Effect(Effect),
    /// A body began or ended.
    Body(Body),
    /// A caller asked for something.
    Asked { call: u32, request: Request },
    /// The caller was answered.
    Answered { call: u32, answer: Answer },
    /// A caller saw a run.
    Saw {
        run: InstanceId,
        status: InstanceStatus,
        visits: usize,
    },
    /// Something befell the process.
    Process(Lot),
    /// From here on nothing goes wrong.
    TroubleEnds,
}

/// What a body noted.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Body {
    pub(crate) run: InstanceId,
    pub(crate) node: String,
    pub(crate) visit: u32,
    pub(crate) attempt: u32,
    /// Whether it undoes the visit.
    pub(crate) is_undo: bool,
    pub(crate) phase: Phase,
}

/// How far a body is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Phase {
    Began,
    /// It returns its update.
    Done,
    /// It returns an error, or panics.
    Failed,
    /// It was dropped where it was.
    Dropped,
}

/// What a caller asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Request {
    Start {
        tag: u64,
        workflow: &'static str,
        key: Option<String>,
        deadline: Option<Duration>,
    },
    Send {
        run: InstanceId,
        number: u64,
        key: Option<String>,
    },
    Cancel {
        run: InstanceId,
        undoes: bool,
    },
    Pause {
        run: InstanceId,
    },
    Resume {
        run: InstanceId,
    },
    Retry {
        run: InstanceId,
    },
    Fork {
        run: InstanceId,
    },
    FireNow {
        workflow: &'static str,
    },
}

/// What a caller is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Answer {
    /// It is done; the run that was started or found, if one was.
    Done(Option<InstanceId>),
    /// It was done before.
    Known,
    /// It is refused, as the run has ended.
    Ended,
    /// It is refused, as its key is taken by something else.
    Conflict,
    /// It is refused otherwise.
    Refused(String),
    /// Nobody can say: the answer was lost, or the process died.
    Unknown,
}

/// What befalls a process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Lot {
    Boots,
    Works,
    Dies,
    /// Nothing that it sends or is sent passes, for so long.
    Freezes(Duration),
    /// Its heartbeats do not pass, for so long.
    LosesHeartbeats(Duration),
    Drains,
    Stops,
}

impl History {
    /// The moments with what the tables were told.
    pub(crate) fn effects(&self) -> impl Iterator<Item = (usize, &Moment, &Effect)> {
        let moments = self.moments.iter().enumerate();
        moments.filter_map(|(place, moment)| match &moment.what {
            What::Effect(effect) => Some((place, moment, effect)),
            _ => None,
        })
    }

    /// What was asked for, where in the history, and what came of it and where; unknown where nobody
    /// was told.
    pub(crate) fn requests(
        &self,
    ) -> impl Iterator<Item = (usize, &Request, Option<(usize, &Answer)>)> {
        let moments = self.moments.iter().enumerate();
        moments.filter_map(|(place, moment)| {
            let What::Asked { call, request } = &moment.what else {
                return None;
            };
            let rest = self.moments.iter().enumerate().skip(place);
            let answer = rest
                .into_iter()
                .find_map(|(at, moment)| match &moment.what {
                    What::Answered { call: of, answer } if of == call => Some((at, answer)),
                    _ => None,
                });
            Some((place, request, answer))
        })
    }

    /// The whole as text, the same for the same history.
    pub(crate) fn text(&self) -> String {
        self.written(None)
    }

    /// What has to do with a run, and what befell the processes.
    pub(crate) fn text_of(&self, run: InstanceId) -> String {
        self.written(Some(run))
    }

    fn written(&self, only: Option<InstanceId>) -> String {
        let mut text = String::new();
        let named = only.map(|run| run.to_string());
        for moment in &self.moments {
            let what = format!("{:?}", moment.what);
            let is_of_process = matches!(moment.what, What::Process(_) | What::TroubleEnds);
            if named
                .as_ref()
                .is_none_or(|run| is_of_process || what.contains(run))
            {
                // A string takes all that is written to it.
                let _ = writeln!(
                    text,
                    "{:>11.6} p{} {what}",
                    moment.at.as_secs_f64(),
                    moment.process
                );
            }
        }
        for run in &self.runs {
            let instance = &run.instance;
            if only.is_some_and(|only| instance.instance_id != only) {
                continue;
            }
            let _ = writeln!(
                text,
                "run {} of {}: {}, waits on {:?}, state {}",
                instance.instance_id,
                instance.workflow_name,
                instance.status,
                instance.waiting_on,
                instance.state,
            );
            for line in &run.journal {
                let _ = writeln!(text, "  {:?}", line.event);
            }
            for message in &run.inbox {
                let _ = writeln!(text, "  {message:?}");
            }
        }
        for panic in &self.panics {
            let _ = writeln!(text, "panic: {panic}");
        }
        text
    }

    /// A digest of the whole.
    pub(crate) fn digest(&self) -> String {
        let digest = Sha256::digest(self.text());
        digest.iter().fold(String::new(), |mut text, byte| {
            let _ = write!(text, "{byte:02x}");
            text
        })
    }
}
