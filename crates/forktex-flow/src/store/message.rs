// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! What others tell a run: the transactions of its inbox.

use std::time::Duration;

use async_trait::async_trait;
use forktex_db::{DbError, Transaction};
use serde_json::Value;
use time::OffsetDateTime;

use crate::identifier::{InstanceId, SignalName};
use crate::instance::InstanceStatus;
use crate::instance::journal::MessageId;
use crate::instance::outcome::Outcome;

/// A signal to be sent.
#[derive(Debug, Clone)]
pub(crate) struct NewSignal {
    pub(crate) instance_id: InstanceId,
    pub(crate) name: SignalName,
    pub(crate) payload: Value,
    pub(crate) idempotency_key: Option<String>,
}

/// What became of a signal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Posted {
    Accepted,
    /// One was sent before under its idempotency key.
    Known {
        is_same: bool,
    },
    AlreadyTerminal(InstanceStatus),
    /// The inbox holds as many as it may.
    Full,
    NotFound,
}

/// A signal in an inbox.
#[derive(Debug, Clone)]
pub(crate) struct Letter {
    pub(crate) message: MessageId,
    pub(crate) signal: String,
    pub(crate) payload: Value,
    pub(crate) sent_at: OffsetDateTime,
}

/// What delivering came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Delivered {
    /// How many runs are ready now that were not.
    pub(crate) readied: u64,
    pub(crate) is_more_left: bool,
}

/// The inbox of a run. Those who write into it never lock the run.
#[async_trait]
pub(crate) trait MessageStore {
    async fn post(&self, signal: &NewSignal) -> Result<Posted, DbError>;

    /// As [`post`](Self::post), as a part of the caller's transaction.
    async fn post_in(
        &self,
        transaction: &mut Transaction,
        signal: &NewSignal,
    ) -> Result<Posted, DbError>;

    /// Wakes the runs that wait for a message which has come.
    async fn deliver(&self) -> Result<Delivered, DbError>;

    /// Asks for the end of the runs whose parent was cancelled. Returns those that have ended by it,
    /// and those whose owners are to end them.
    async fn cancel_children(
        &self,
        grace: Duration,
    ) -> Result<(Vec<InstanceId>, Vec<InstanceId>), DbError>;

    /// Has the children of a run that live end as cancelled.
    async fn wish_end(&self, parent: InstanceId, children: &[InstanceId]) -> Result<(), DbError>;

    /// The oldest signal of one of the names that the run has not taken.
    async fn oldest_signal(
        &self,
        instance: InstanceId,
        names: &[String],
    ) -> Result<Option<Letter>, DbError>;

    /// What became of some runs, in their order.
    async fn outcomes(&self, instances: &[InstanceId]) -> Result<Vec<Outcome>, DbError>;
}
