// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! Why a signal could not be sent.

use forktex_db::DbError;

use crate::identifier::{InstanceId, InvalidName, SignalName};
use crate::instance::InstanceStatus;
use crate::signal::{MAILBOX_MAX, SIGNAL_BYTES_MAX};
use crate::state::payload::PayloadError;

/// Why a signal could not be sent. In every case nothing was sent, but where the outcome of the
/// database's commit is unknown.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SignalError {
    /// The name is not well formed.
    #[error(transparent)]
    Name(#[from] InvalidName),
    /// The payload cannot be stored.
    #[error(
        "cannot send signal `{signal}` to run {instance}: its payload, of at most {SIGNAL_BYTES_MAX} bytes: {error}"
    )]
    Payload {
        /// The run.
        instance: InstanceId,
        /// The signal.
        signal: SignalName,
        /// Why.
        error: PayloadError,
    },
    /// The idempotency key is empty, longer than 200 characters, or holds a NUL.
    #[error(
        "cannot send signal `{signal}`: the idempotency key must have 1 to 200 characters and no NUL"
    )]
    IdempotencyKey {
        /// The signal.
        signal: SignalName,
    },
    /// Another payload was sent under the same key.
    #[error(
        "cannot send signal `{signal}` to run {instance}: another payload was sent under the key `{key}`"
    )]
    Conflict {
        /// The run.
        instance: InstanceId,
        /// The signal.
        signal: SignalName,
        /// The idempotency key.
        key: String,
    },
    /// The run has ended.
    #[error("cannot send signal `{signal}` to run {instance}: it is already {status}")]
    AlreadyTerminal {
        /// The run.
        instance: InstanceId,
        /// The signal.
        signal: SignalName,
        /// How it ended.
        status: InstanceStatus,
    },
    /// The run keeps as many signals as it may that nothing has taken.
    #[error(
        "cannot send signal `{signal}` to run {instance}: {MAILBOX_MAX} signals wait there already"
    )]
    MailboxFull {
        /// The run.
        instance: InstanceId,
        /// The signal.
        signal: SignalName,
    },
    /// There is no such run.
    #[error("cannot send a signal to run {instance}: there is no such run")]
    NotFound {
        /// The run.
        instance: InstanceId,
    },
    /// The database failed.
    #[error("cannot send a signal to run {instance}: {error}")]
    Database {
        /// The run.
        instance: InstanceId,
        /// Its error.
        error: DbError,
    },
}
