// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! What a simulation is told and decides: what becomes of the calls that a process makes to its store,
//! and what they did there. Behind the feature `simulation`, for the project's own alone.

use async_trait::async_trait;
use serde_json::Value;
use time::OffsetDateTime;

pub use crate::identifier::seed_identifiers;
use crate::identifier::{InstanceId, WorkflowName};
use crate::instance::event::Event;
use crate::instance::{Instance, InstanceStatus};

/// The line between one process and the store. Whoever stands on it may hold calls up, lose them or
/// their answers, and have the process die.
#[async_trait]
pub trait Line: Send + Sync + 'static {
    /// Resolves when a call reaches the store; never for a process that is dead.
    async fn reach(&self, call: &'static str) -> Passage;

    /// Resolves when the answer reaches the process; never for one that is dead.
    async fn answer(&self, call: &'static str);

    /// What a call did, told before anything else happens.
    fn saw(&self, effect: Effect);
}

/// What becomes of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Passage {
    /// It is done, and answered.
    Whole,
    /// It is done twice, as one that was sent again, and answered; where that is what no caller would
    /// do, it is done once.
    Doubled,
    /// It does not arrive.
    Lost,
    /// It is done, and the answer does not arrive.
    AnswerLost,
}

/// What a call did.
#[derive(Debug, Clone, PartialEq)]
pub enum Effect {
    /// A run was accepted.
    Started(Birth),
    /// A worker owns a run.
    Claimed {
        /// The run.
        run: InstanceId,
        /// Its new epoch.
        epoch: i64,
        /// Whether it may have killed its last worker, and is run with no other such.
        is_suspect: bool,
    },
    /// A checkpoint was brought.
    Committed {
        /// The run.
        run: InstanceId,
        /// The epoch of who brought it.
        epoch: i64,
        /// The number of its first entry.
        first_sequence: i64,
        /// The names of its entries.
        entries: Vec<&'static str>,
        /// What the run does next.
        then: Next,
        /// What became of it.
        outcome: Fate,
        /// The runs that it spawns.
        children: Vec<Birth>,
    },
    /// An owner gave a run back.
    HandedBack {
        /// The run.
        run: InstanceId,
        /// The epoch of who gave it.
        epoch: i64,
    },
    /// Runs were taken from workers whose lease was over.
    LeasesLost {
        /// How many.
        runs: u64,
    },
    /// A signal was brought; `true` where it is in the inbox by this call.
    Posted {
        /// The run.
        run: InstanceId,
        /// The signal's name.
        name: String,
        /// What it says.
        payload: Value,
        /// Whether it was taken in.
        is_accepted: bool,
    },
    /// An end was asked for.
    CancelAsked {
        /// The run.
        run: InstanceId,
        /// What became of it.
        outcome: Asked,
    },
    /// An end was asked for, after what was done is undone.
    UndoAsked {
        /// The run.
        run: InstanceId,
        /// Whether the run lived.
        is_done: bool,
    },
    /// A pause was asked for, or its end.
    PauseAsked {
        /// The run.
        run: InstanceId,
        /// Whether it is to be paused.
        is_paused: bool,
        /// Whether the run lived.
        is_done: bool,
    },
    /// The end of a run came when its grace period was over.
    Overdue {
        /// The run.
        run: InstanceId,
    },
    /// The end of a child was asked for, or came.
    ChildEnded {
        /// The child.
        run: InstanceId,
        /// Whether it has ended by this.
        is_over: bool,
    },
    /// A run goes on where another was.
    Forked {
        /// The other.
        source: InstanceId,
        /// The new one.
        run: InstanceId,
    },
    /// A schedule was moved on.
    Fired {
        /// The workflow.
        workflow: WorkflowName,
        /// The ticks that it was due for.
        ticks: Vec<OffsetDateTime>,
        /// How many runs were started; none where another was first.
        started: Option<usize>,
    },
    /// A worker leads, as far as it was told.
    Elected,
}

/// How a run came to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Birth {
    /// The run.
    pub run: InstanceId,
    /// The run that spawned it.
    pub parent: Option<InstanceId>,
    /// Those that were spawned by the same call.
    pub siblings: String,
    /// Whether it waits for its turn among them.
    pub waits_for_turn: bool,
    /// Whether it was born claimed.
    pub is_claimed: bool,
}

/// What a run does after a checkpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// It goes on.
    Continue,
    /// It waits.
    Wait,
    /// It ends.
    End(InstanceStatus),
}

/// What became of a checkpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// It is written.
    Written,
    /// It is refused: the run is another's.
    Fenced,
    /// It is refused: the run is to be ended, undone or paused.
    Asked,
    /// It was passed over, to be brought alone.
    PassedOver,
}

/// What became of a wish to end a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Asked {
    /// It has ended.
    AtOnce,
    /// Its owner is to end it.
    Requested,
    /// There is nothing to end.
    Nothing,
}

/// All that the tables know of a run.
#[derive(Debug, Clone)]
pub struct RunRecord {
    /// As callers see it.
    pub instance: Instance,
    /// What happened to it.
    pub journal: Vec<JournalLine>,
    /// What it was told by signals, in the order of sending.
    pub inbox: Vec<Message>,
}

/// An entry of a journal.
#[derive(Debug, Clone)]
pub struct JournalLine {
    /// As callers see it.
    pub event: Event,
    /// The message that it took.
    pub message: Option<i64>,
    /// Its place in the order of merging: the superstep and the member.
    pub place: Option<(u32, u16)>,
}

/// A signal in an inbox.
#[derive(Debug, Clone)]
pub struct Message {
    /// Its place.
    pub id: i64,
    /// The signal's name.
    pub name: String,
    /// Its idempotency key.
    pub key: Option<String>,
    /// What it says.
    pub payload: Value,
    /// Whether the run has taken it.
    pub is_taken: bool,
}
