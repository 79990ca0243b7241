// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! The one error of the test kit. It names the remedy where there is one, and never hides a log.

use std::io;
use std::path::PathBuf;
use std::process::ExitStatus;
use std::time::Duration;

/// Why a throwaway server could not be given.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TestkitError {
    /// Neither a running server nor the binaries to start one were found.
    #[error("no {server} was found; {remedy}")]
    ServerMissing {
        /// What was looked for.
        server: &'static str,
        /// The command or setting that mends it.
        remedy: &'static str,
    },
    /// A folder that was named explicitly lacks a program.
    #[error("{variable} is set to {folder}, which has no `{program}`")]
    ProgramMissing {
        /// The environment variable that names the folder.
        variable: &'static str,
        /// The folder.
        folder: PathBuf,
        /// The program looked for.
        program: &'static str,
    },
    /// An environment variable or argument is not a usable URL.
    #[error("{variable} is not a URL of the expected form")]
    InvalidUrl {
        /// Where the URL came from. Its text is withheld: it may carry a password.
        variable: &'static str,
        /// What is wrong with it.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The process is root, which servers refuse, and the machine has no account to run them as.
    #[error("servers refuse to run as root, and /etc/passwd has neither `postgres` nor `nobody`")]
    NoUnprivilegedAccount,
    /// A file operation failed.
    #[error("cannot {action} {path}")]
    Io {
        /// The verb.
        action: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// The cause.
        #[source]
        source: io::Error,
    },
    /// No port of the range tried was free.
    #[error("no free TCP port was found on 127.0.0.1")]
    NoFreePort,
    /// A helper program ran and failed.
    #[error("`{program}` failed with {status}:\n{output}")]
    CommandFailed {
        /// The program.
        program: PathBuf,
        /// How it ended.
        status: ExitStatus,
        /// What it printed.
        output: String,
    },
    /// A server ended while it was starting.
    #[error("{server} ended with {status} while starting; the end of its log:\n{log_tail}")]
    StartFailed {
        /// The server.
        server: &'static str,
        /// How it ended.
        status: ExitStatus,
        /// The last lines of its log.
        log_tail: String,
    },
    /// A server did not reach a state in time.
    #[error("{server} did not {action} within {limit:?}; the end of its log:\n{log_tail}")]
    Timeout {
        /// The server.
        server: &'static str,
        /// What was awaited.
        action: &'static str,
        /// How long.
        limit: Duration,
        /// The last lines of its log, if it has one here.
        log_tail: String,
    },
    /// The server is not running, so it cannot be paused, resumed or asked.
    #[error("{server} is not running")]
    NotRunning {
        /// The server.
        server: &'static str,
    },
    /// The server is running already.
    #[error("{server} is running already")]
    AlreadyRunning {
        /// The server.
        server: &'static str,
    },
    /// A signal could not be sent.
    #[error("cannot signal process {pid}")]
    Signal {
        /// The receiver.
        pid: u32,
        /// The cause.
        #[source]
        source: io::Error,
    },
    /// Postgres refused a statement.
    #[error("cannot {action} {database}")]
    Sql {
        /// What was attempted.
        action: &'static str,
        /// The database concerned.
        database: String,
        /// The cause.
        #[source]
        source: sqlx::Error,
    },
    /// No Postgres was found on this machine, and no container could be had instead.
    #[cfg(feature = "containers")]
    #[error("no Postgres was found, and no Docker engine gave one; {remedy}")]
    Container {
        /// The command or setting that mends it.
        remedy: &'static str,
        /// What the engine, or the attempt to reach one, said.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The S3 server refused its folder.
    #[cfg(feature = "s3")]
    #[error("cannot serve {folder} as S3: {reason}")]
    S3 {
        /// The folder.
        folder: PathBuf,
        /// What the server said; its error type says no more.
        reason: String,
    },
    /// A node of a Redis cluster refused to join it.
    #[cfg(feature = "redis")]
    #[error("the Redis node on port {port} did not join its cluster")]
    Cluster {
        /// The node's port on 127.0.0.1.
        port: u16,
        /// The refusal, or the failure to ask.
        #[source]
        source: io::Error,
    },
    /// The work was abandoned because the runtime is shutting down.
    #[error("the runtime shut down while a server was being handled")]
    RuntimeShutDown,
}

impl TestkitError {
    /// For `map_err` after a file operation on `path`.
    pub(crate) fn io(
        action: &'static str,
        path: impl Into<PathBuf>,
    ) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::Io {
            action,
            path,
            source,
        }
    }

    /// For `map_err` after a statement that concerns `database`.
    pub(crate) fn sql(
        action: &'static str,
        database: impl Into<String>,
    ) -> impl FnOnce(sqlx::Error) -> Self {
        let database = database.into();
        move |source| Self::Sql {
            action,
            database,
            source,
        }
    }
}

/// Runs blocking work off the async threads.
///
/// When the caller is cancelled the work goes on, and what it made is dropped at its end.
pub(crate) async fn off_thread<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, TestkitError> + Send + 'static,
) -> Result<T, TestkitError> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
        Err(_) => Err(TestkitError::RuntimeShutDown),
    }
}
