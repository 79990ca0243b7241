// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! What nobody asks for: due jobs become ready, ended leases are taken back, held jobs are let go, and
//! what is old goes.

use std::collections::BTreeSet;
use std::sync::PoisonError;
use std::time::Duration;

use forktex_db::sqlx::{self, Row};
use forktex_db::{DbError, Singly as _};
use uuid::Uuid;

use super::PostgresBackend;
use super::claim::PROMOTE_JOBS_MAX;
use super::limits::LimitKey;
use super::row::{microseconds, total, unreadable};
use crate::backend::Maintained;
use crate::identifier::QueueName;

/// The most leases that one pass looks at, of up to 256 jobs each.
const LEASES_MAX: i64 = 20;

/// The most rows of a kind that one pass prunes.
const PRUNED_MAX: i64 = 1_000;

/// The most jobs that one pass makes ready.
const PROMOTED_MAX: u64 = 4_000;

/// What is kept with a job whose worker was lost.
const LOST_NOTE: &str = "the worker that had it was lost";

impl PostgresBackend {
    /// One bounded pass over all queues.
    pub(super) async fn maintain_all(
        &self,
        dead_letters_kept: Duration,
    ) -> Result<Maintained, DbError> {
        let mut done = Maintained::default();
        self.take_back(&mut done).await?;
        self.promote_all(&mut done).await?;
        self.let_stranded_go().await?;
        self.prune(dead_letters_kept, &mut done).await?;
        self.forget_settled().await?;
        if done.promoted + done.taken_back > 0 {
            self.forget_marks();
            self.wakes.tell();
        }
        Ok(done)
    }

    async fn take_back(&self, done: &mut Maintained) -> Result<(), DbError> {
        let rows = sqlx::query(self.statements.take_back_lost_jobs.clone())
            .bind(LEASES_MAX)
            .bind(LOST_NOTE)
            .single(&self.db)
            .fetch_all()
            .await?;
        let mut limits: BTreeSet<LimitKey> = BTreeSet::new();
        for row in &rows {
            done.is_more |= row.try_get::<i64, _>("leases")? >= LEASES_MAX;
            if row.try_get::<Option<Uuid>, _>("job_id")?.is_none() {
                continue;
            }
            match row.try_get::<i32, _>("outcome")? {
                1 => done.taken_back += 1,
                2 => done.buried += 1,
                _ => {}
            }
            if let Some(key) = row.try_get::<Option<String>, _>("limit_key")? {
                limits.insert((row.try_get("queue")?, key));
            }
        }
        self.let_held_go_after(&limits).await;
        Ok(())
    }

    async fn promote_all(&self, done: &mut Maintained) -> Result<(), DbError> {
        let queues: Vec<String> = sqlx::query_scalar(self.statements.due_queues.clone())
            .single(&self.db)
            .fetch_all()
            .await?;
        for queue in queues {
            let queue = QueueName::new(queue).map_err(|_| unreadable("queue"))?;
            let promoted = self.look_for_due(&queue).await?;
            done.promoted += promoted;
            done.is_more |= promoted >= total(PROMOTE_JOBS_MAX);
            if done.promoted >= PROMOTED_MAX {
                done.is_more = true;
                break;
            }
        }
        Ok(())
    }

    /// Lets jobs go for which there is room and nobody said so: whoever made it has died since.
    async fn let_stranded_go(&self) -> Result<(), DbError> {
        let after = {
            let mut after = self
                .held_after
                .lock()
                .unwrap_or_else(PoisonError::into_inner);
            std::mem::take(&mut *after)
        };
        let limits = self.held_limits(&after).await?;
        if let Some(last) = limits.last() {
            // Behind the last there is nothing, and the next pass begins anew.
            let mut after = self
                .held_after
                .lock()
                .unwrap_or_else(PoisonError::into_inner);
            after.clone_from(last);
        }
        let limits: BTreeSet<LimitKey> = limits.into_iter().collect();
        self.let_held_go_after(&limits).await;
        Ok(())
    }

    async fn prune(
        &self,
        dead_letters_kept: Duration,
        done: &mut Maintained,
    ) -> Result<(), DbError> {
        let row = sqlx::query(self.statements.prune.clone())
            .bind(microseconds(dead_letters_kept))
            .bind(PRUNED_MAX)
            .single(&self.db)
            .fetch_one()
            .await?;
        let dead: i64 = row.try_get("dead")?;
        let unlocked: i64 = row.try_get("unlocked")?;
        let forgotten: i64 = row.try_get("forgotten")?;
        done.pruned += total(dead) + total(unlocked);
        done.is_more |= [dead, unlocked, forgotten].contains(&PRUNED_MAX);
        Ok(())
    }

    async fn forget_settled(&self) -> Result<(), DbError> {
        let settled = self.batches.take_settled();
        if settled.is_empty() {
            return Ok(());
        }
        let forgotten = sqlx::query(self.statements.forget_leases.clone())
            .bind(&settled)
            .single(&self.db)
            .execute()
            .await;
        if forgotten.is_err() {
            self.batches.put_back(settled);
        }
        forgotten.map(drop)
    }
}
