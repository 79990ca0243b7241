// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! Sends a signal to a run: one appended row of its inbox, and never a touch of the run's own row.

use std::fmt;
use std::future::IntoFuture;
use std::sync::Arc;

use forktex_db::Transaction;
use futures_util::future::BoxFuture;
use serde_json::Value;

use super::Access;
use crate::error::SignalError;
use crate::identifier::{InstanceId, SignalName, is_key};
use crate::signal::SIGNAL_BYTES_MAX;
use crate::state::payload::{self, PayloadError};
use crate::store::{NewSignal, Posted};

/// What became of a signal that was sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Sent {
    /// It is in the run's inbox.
    Accepted,
    /// An equal signal with this idempotency key was sent before; it is not sent again.
    Duplicate,
}

/// Sends a signal; made by [`Run::send`](crate::Run::send). Await it.
#[must_use = "nothing is sent until this is awaited"]
pub struct Send<'a> {
    instance: InstanceId,
    access: Arc<Access>,
    name: String,
    payload: Result<Value, PayloadError>,
    idempotency_key: Option<String>,
    transaction: Option<&'a mut Transaction>,
}

impl Send<'_> {
    pub(crate) fn new(
        instance: InstanceId,
        access: Arc<Access>,
        name: String,
        payload: Result<Value, PayloadError>,
    ) -> Self {
        Self {
            instance,
            access,
            name,
            payload,
            idempotency_key: None,
            transaction: None,
        }
    }

    /// Sends the signal at most once under this key, which belongs to the run and the signal's name for
    /// as long as the run is kept. A second send with an equal payload is [`Sent::Duplicate`], one with
    /// another is [`SignalError::Conflict`].
    pub fn idempotency_key(mut self, key: impl Into<String>) -> Self {
        self.idempotency_key = Some(key.into());
        self
    }

    /// Sends the signal with the caller's own transaction, which must be one on the flow's database: the
    /// run receives it if and only if that commits.
    pub fn in_transaction(self, transaction: &mut Transaction) -> Send<'_> {
        Send {
            instance: self.instance,
            access: self.access,
            name: self.name,
            payload: self.payload,
            idempotency_key: self.idempotency_key,
            transaction: Some(transaction),
        }
    }

    async fn send(self) -> Result<Sent, SignalError> {
        let instance = self.instance;
        let name = SignalName::new(&self.name)?;
        let refused = |error| SignalError::Payload {
            instance,
            signal: name.clone(),
            error,
        };
        let payload = self.payload.map_err(refused)?;
        payload::check(&payload, SIGNAL_BYTES_MAX).map_err(refused)?;
        if !self.idempotency_key.as_deref().is_none_or(is_key) {
            return Err(SignalError::IdempotencyKey {
                signal: name.clone(),
            });
        }
        let signal = NewSignal {
            instance_id: instance,
            name: name.clone(),
            payload,
            idempotency_key: self.idempotency_key,
        };
        let posted = match self.transaction {
            None => {
                let posted = self.access.store.post(&signal).await;
                (self.access.message_notice)();
                posted
            }
            Some(transaction) => {
                let posted = self.access.store.post_in(transaction, &signal).await;
                let access = Arc::clone(&self.access);
                transaction.after_commit(async move { (access.message_notice)() });
                posted
            }
        };
        match posted.map_err(|error| SignalError::Database { instance, error })? {
            Posted::Accepted => Ok(Sent::Accepted),
            Posted::Known { is_same: true } => Ok(Sent::Duplicate),
            Posted::Known { is_same: false } => Err(SignalError::Conflict {
                instance,
                signal: name,
                key: signal.idempotency_key.unwrap_or_default(),
            }),
            Posted::AlreadyTerminal(status) => Err(SignalError::AlreadyTerminal {
                instance,
                signal: name,
                status,
            }),
            Posted::Full => Err(SignalError::MailboxFull {
                instance,
                signal: name,
            }),
            Posted::NotFound => Err(SignalError::NotFound { instance }),
        }
    }
}

impl<'a> IntoFuture for Send<'a> {
    type Output = Result<Sent, SignalError>;
    type IntoFuture = BoxFuture<'a, Self::Output>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.send())
    }
}

impl fmt::Debug for Send<'_> {
    /// Names the signal and never shows its payload.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Send")
            .field("instance", &self.instance)
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}
