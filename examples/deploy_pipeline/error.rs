// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! What can go wrong in this program.

use std::io;

use forktex::db::{DbError, MigrateError};
use forktex::flow::{BuildError, DriverError, InstanceStatus, ReadError, StartError, WaitError};
use forktex_testkit::TestkitError;

use crate::deploy::DeployState;
use crate::ledger::Repeated;

/// Why the program ends with an exit code of 1.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error(transparent)]
    Testkit(#[from] TestkitError),
    #[error(transparent)]
    Database(#[from] DbError),
    #[error(transparent)]
    Build(#[from] BuildError),
    #[error(transparent)]
    Migrate(#[from] MigrateError),
    #[error(transparent)]
    Driver(#[from] DriverError),
    #[error(transparent)]
    Start(#[from] StartError),
    #[error(transparent)]
    Read(#[from] ReadError),
    #[error(transparent)]
    Wait(#[from] WaitError<DeployState>),
    #[error("cannot listen for signals: {0}")]
    Signal(#[source] io::Error),
    #[error("stopped without handing back what ran; it is taken over after the lease")]
    NotStopped,
    #[error("cannot write to the terminal: {0}")]
    Output(#[from] io::Error),
    #[error("cannot {action} worker {number}: {error}")]
    Process {
        action: &'static str,
        number: usize,
        #[source]
        error: io::Error,
    },
    #[error("worker {number} ended by itself: {status}")]
    WorkerEnded {
        number: usize,
        status: std::process::ExitStatus,
    },
    #[error("after {seconds} s still waiting for {awaited}; {last_seen}")]
    Deadline {
        seconds: u64,
        awaited: &'static str,
        last_seen: String,
    },
    #[error(
        "`{node}` finished before the worker could be killed: this machine is too busy to watch"
    )]
    TooLate { node: &'static str },
    #[error("the run ended as {status}{}", reason.as_ref().map(|reason| format!(": {reason}")).unwrap_or_default())]
    Outcome {
        status: InstanceStatus,
        reason: Option<String>,
    },
    #[error(
        "`{}` ran again after it had finished: {} times finished, {} times started afterwards",
        .0.node, .0.finished, .0.started_after
    )]
    Repeated(Repeated),
    #[error("`{node}` should have {expected}; the ledger has {found}")]
    Unexpected {
        node: &'static str,
        expected: &'static str,
        found: String,
    },
    #[error("interrupted")]
    Interrupted,
}
