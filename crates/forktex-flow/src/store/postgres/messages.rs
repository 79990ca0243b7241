// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! The inbox on Postgres.

use std::time::Duration;

use async_trait::async_trait;
use forktex_db::sqlx::{self, PgConnection, Row};
use forktex_db::{DbError, Singly as _, Transaction};
use serde_json::Value;
use uuid::Uuid;

use super::row::unreadable;
use super::sealing::{Cell, Sealing, are_same};
use super::{PostgresStore, uuids};
use crate::identifier::InstanceId;
use crate::instance::InstanceStatus;
use crate::instance::journal::{MessageId, fold_state};
use crate::instance::outcome::Outcome;
use crate::signal::MAILBOX_MAX;
use crate::store::message::Delivered;
use crate::store::{Cancelled, Letter, MessageStore, NewSignal, Posted, Store};

/// The most messages that one statement delivers.
const DELIVERY_MAX: i64 = 1_000;

/// The most children that are asked to end at a time.
const CANCELLATIONS_MAX: i64 = 100;

/// Why a child ends one of whose siblings failed, where that is enough for its parent.
const SIBLING_FAILED: &str = "a sibling failed";

impl PostgresStore {
    async fn post_on(
        &self,
        connection: &mut PgConnection,
        signal: &NewSignal,
    ) -> Result<Posted, DbError> {
        let sealing = &self.sealing;
        let cell = Cell::Message {
            run: signal.instance_id,
            signal: signal.name.as_str(),
            key: signal.idempotency_key.as_deref(),
        };
        let payload = sealing.json(cell, &signal.payload)?;
        // Of two that send under one key at once, the one whose insert waited for the other's finds
        // neither row in its own snapshot, and asks again.
        for _ in 0..3 {
            let row = sqlx::query(self.statements.post_signal.clone())
                .bind(signal.instance_id.0)
                .bind(signal.name.as_str())
                .bind(signal.idempotency_key.as_deref())
                .bind(&payload)
                .bind(i64::from(MAILBOX_MAX))
                .bind(sealing.is_on())
                .fetch_one(&mut *connection)
                .await?;
            let status: Option<String> = row.try_get("status")?;
            let Some(status) = status else {
                return Ok(Posted::NotFound);
            };
            let status = InstanceStatus::parse(&status).ok_or_else(|| unreadable("status"))?;
            if row.try_get("is_posted")? {
                return Ok(Posted::Accepted);
            }
            if let Some(is_sealed) = row.try_get("known_is_sealed")? {
                let known: Option<&str> = row.try_get("known_payload")?;
                let is_same = match known {
                    None => row.try_get("is_same")?,
                    Some(known) => {
                        let known = message(sealing, cell, known, is_sealed)?;
                        are_same(&known, &signal.payload)
                    }
                };
                return Ok(Posted::Known { is_same });
            }
            if status.is_terminal() {
                return Ok(Posted::AlreadyTerminal(status));
            }
            if !row.try_get::<bool, _>("is_room_left")? {
                return Ok(Posted::Full);
            }
        }
        Err(DbError::NotFound)
    }
}

#[async_trait]
impl MessageStore for PostgresStore {
    async fn post(&self, signal: &NewSignal) -> Result<Posted, DbError> {
        let mut session = self.db.session().await?;
        let posted = self.post_on(session.connection(), signal).await?;
        session.end().await?;
        Ok(posted)
    }

    async fn post_in(
        &self,
        transaction: &mut Transaction,
        signal: &NewSignal,
    ) -> Result<Posted, DbError> {
        self.post_on(transaction.connection(), signal).await
    }

    async fn deliver(&self) -> Result<Delivered, DbError> {
        let readied: i64 = sqlx::query_scalar(self.statements.pass_turns_on.clone())
            .bind(DELIVERY_MAX)
            .single(&self.db)
            .fetch_one()
            .await?;
        let row = sqlx::query(self.statements.deliver_messages.clone())
            .bind(DELIVERY_MAX)
            .single(&self.db)
            .fetch_one()
            .await?;
        let (woken, delivered): (i64, i64) = (row.try_get("woken")?, row.try_get("delivered")?);
        Ok(Delivered {
            readied: (readied + woken).unsigned_abs(),
            is_more_left: readied.max(delivered) == DELIVERY_MAX,
        })
    }

    async fn cancel_children(
        &self,
        grace: Duration,
    ) -> Result<(Vec<InstanceId>, Vec<InstanceId>), DbError> {
        let wished: Vec<(Uuid, String)> =
            sqlx::query_as(self.statements.wished_cancellations.clone())
                .bind(CANCELLATIONS_MAX)
                .single(&self.db)
                .fetch_all()
                .await?;
        let (mut ended, mut asked) = (Vec::new(), Vec::new());
        for (instance, reason) in wished {
            let instance = InstanceId(instance);
            match self.cancel(instance, &reason, grace).await? {
                Cancelled::AtOnce => ended.push(instance),
                Cancelled::Requested => asked.push(instance),
                Cancelled::AlreadyTerminal(_) | Cancelled::NotFound => {}
            }
            sqlx::query(self.statements.forget_wish.clone())
                .bind(instance.0)
                .single(&self.db)
                .execute()
                .await?;
        }
        Ok((ended, asked))
    }

    async fn wish_end(&self, parent: InstanceId, children: &[InstanceId]) -> Result<(), DbError> {
        sqlx::query(self.statements.wish_end.clone())
            .bind(parent.0)
            .bind(uuids(children))
            .bind(SIBLING_FAILED)
            .single(&self.db)
            .execute()
            .await?;
        Ok(())
    }

    async fn oldest_signal(
        &self,
        instance: InstanceId,
        names: &[String],
    ) -> Result<Option<Letter>, DbError> {
        let row = sqlx::query(self.statements.oldest_signal.clone())
            .bind(instance.0)
            .bind(names)
            .single(&self.db)
            .fetch_optional()
            .await?;
        let Some(row) = row else { return Ok(None) };
        let signal: String = row.try_get("name")?;
        let cell = Cell::Message {
            run: instance,
            signal: &signal,
            key: row.try_get("idempotency_key")?,
        };
        let (payload, is_sealed) = (row.try_get("payload")?, row.try_get("is_sealed")?);
        Ok(Some(Letter {
            message: MessageId(row.try_get("message_id")?),
            payload: message(&self.sealing, cell, payload, is_sealed)?,
            sent_at: row.try_get("sent_at")?,
            signal,
        }))
    }

    async fn outcomes(&self, instances: &[InstanceId]) -> Result<Vec<Outcome>, DbError> {
        let rows = sqlx::query(self.statements.read_outcomes.clone())
            .bind(uuids(instances))
            .single(&self.db)
            .fetch_all()
            .await?;
        let mut completed = Vec::new();
        for row in &rows {
            let status: Option<String> = row.try_get("status")?;
            if status.as_deref() == Some(InstanceStatus::Completed.as_str()) {
                completed.push(InstanceId(row.try_get("instance_id")?));
            }
        }
        let mut journals = self.journals(&completed).await?;
        let mut outcomes = std::collections::HashMap::with_capacity(rows.len());
        for row in &rows {
            let instance = InstanceId(row.try_get("instance_id")?);
            let journal = journals.remove(&instance).unwrap_or(Ok(Vec::new()))?;
            let outcome = super::row::outcome(row, &self.sealing, |input| {
                fold_state(input, &journal).map_err(|_| unreadable("journal"))
            })?;
            outcomes.insert(instance, outcome);
        }
        Ok(instances
            .iter()
            .map(|instance| outcomes.get(instance).cloned().unwrap_or(Outcome::Gone))
            .collect())
    }
}

/// The payload of a message, which may be any JSON: its row says whether it is sealed.
fn message(
    sealing: &Sealing,
    cell: Cell<'_>,
    payload: &str,
    is_sealed: bool,
) -> Result<Value, DbError> {
    if is_sealed {
        return sealing.read_sealed(cell, payload);
    }
    serde_json::from_str(payload).map_err(|_| unreadable("payload"))
}
