// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! The planted faults, each beside the transaction that it spoils.

use std::borrow::Cow;
use std::sync::Arc;

use forktex_db::sqlx::{self, AssertSqlSafe, PgConnection, SqlSafeStr as _, SqlStr};
use forktex_db::{DbError, Transaction, rename_schema};

use crate::identifier::Epoch;
use crate::instance::journal::Entry;
use crate::planted::PlantedFault;
use crate::store::Checkpoint;
use crate::store::postgres::statement::DEFAULT_SCHEMA;

/// A fault, in one schema.
#[derive(Debug, Clone)]
pub(super) struct Planted {
    pub(super) fault: PlantedFault,
    pub(super) schema: String,
}

impl Planted {
    /// What is to be committed instead of the checkpoints. The connection is one that is there already,
    /// where there is one: more than a pool has must not be wanted.
    pub(super) async fn spoil<'a>(
        &self,
        connection: &mut PgConnection,
        checkpoints: &'a [Checkpoint],
    ) -> Result<Cow<'a, [Checkpoint]>, DbError> {
        match self.fault {
            PlantedFault::UnfencedWrite => {
                let mut unfenced = checkpoints.to_vec();
                for checkpoint in &mut unfenced {
                    self.overtake(connection, checkpoint).await?;
                }
                Ok(Cow::Owned(unfenced))
            }
            PlantedFault::SignalConsumedFirst => {
                for checkpoint in checkpoints {
                    self.consume(connection, checkpoint).await?;
                }
                Ok(Cow::Borrowed(checkpoints))
            }
            PlantedFault::CheckpointOutsideTransaction => Ok(Cow::Borrowed(checkpoints)),
        }
    }

    /// What happens to the transaction of a step before its checkpoint is written.
    pub(super) async fn split(&self, transaction: &mut Transaction) -> Result<(), DbError> {
        if self.fault == PlantedFault::CheckpointOutsideTransaction {
            sqlx::raw_sql("COMMIT; BEGIN")
                .execute(transaction.connection())
                .await?;
        }
        Ok(())
    }

    /// Writes under whatever epoch the run has now.
    async fn overtake(
        &self,
        connection: &mut PgConnection,
        checkpoint: &mut Checkpoint,
    ) -> Result<(), DbError> {
        let present: Option<i64> =
            sqlx::query_scalar(self.in_schema(include_str!("sql/present_epoch.sql"))?)
                .bind(checkpoint.instance_id.0)
                .fetch_optional(connection)
                .await?;
        if let Some(present) = present {
            checkpoint.epoch = Epoch(present);
        }
        Ok(())
    }

    async fn consume(
        &self,
        connection: &mut PgConnection,
        checkpoint: &Checkpoint,
    ) -> Result<(), DbError> {
        for message in checkpoint.entries.iter().filter_map(Entry::message) {
            sqlx::query(self.in_schema(include_str!("sql/take_message.sql"))?)
                .bind(checkpoint.instance_id.0)
                .bind(message.0)
                .execute(&mut *connection)
                .await?;
        }
        Ok(())
    }

    fn in_schema(&self, sql: &str) -> Result<SqlStr, DbError> {
        let renamed: Arc<str> = rename_schema(sql, DEFAULT_SCHEMA, &self.schema)?.into();
        Ok(AssertSqlSafe(renamed).into_sql_str())
    }
}
