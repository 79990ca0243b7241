// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! Rows of imports that failed, kept with their problems until somebody mends or discards them.
//!
//! It is the one place that keeps the text of a file. It never writes a row into the register: a row
//! that was mended is imported again.

use forktex_db::{Transaction, sqlx};
use time::OffsetDateTime;
use uuid::Uuid;

use super::report::ImportProblem;
use crate::error::DataError;
use crate::limits::PAGE_ROWS_MAX;
use crate::register::Register;

const KEEP_ROWS: &str = "INSERT INTO forktex_data.quarantine \
     (tenant_id, register_key, import_id, line, content, problems, kept_at) \
     SELECT $1, $2, $3, line, content, problems::jsonb, now() \
     FROM unnest($4::bigint[], $5::text[], $6::text[]) AS kept (line, content, problems)";

const LIST_ROWS: &str = "SELECT key, import_id, line, content, problems, kept_at \
     FROM forktex_data.quarantine \
     WHERE tenant_id = $1 AND register_key = $2 AND key > $3 AND ($4::uuid IS NULL OR import_id = $4) \
     ORDER BY key LIMIT $5";

const DISCARD_ROWS: &str = "DELETE FROM forktex_data.quarantine \
     WHERE tenant_id = $1 AND register_key = $2 AND key = ANY($3)";

/// A row of an import that failed, with the text of the file.
///
/// `Debug` shows no text of it.
#[derive(Clone, PartialEq)]
#[non_exhaustive]
pub struct QuarantinedRow {
    /// Its number, by which it is discarded, and from which the next page begins.
    pub key: i64,
    /// The import that met it.
    pub import_id: Uuid,
    /// The line of the file where it begins.
    pub line: u64,
    /// Its text as it stood there; what was no UTF-8 is replaced by U+FFFD.
    pub content: String,
    /// What was wrong with it, as the members of an [`ImportProblem`].
    pub problems: serde_json::Value,
    /// When it was kept.
    pub kept_at: OffsetDateTime,
}

impl std::fmt::Debug for QuarantinedRow {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("QuarantinedRow")
            .field("key", &self.key)
            .field("import_id", &self.import_id)
            .field("line", &self.line)
            .finish_non_exhaustive()
    }
}

/// A row that is to be kept.
pub(crate) struct Kept {
    line: i64,
    content: String,
    problems: String,
}

impl Kept {
    pub(crate) fn new(line: u64, raw: &[u8], problems: &[ImportProblem]) -> Self {
        Self {
            line: i64::try_from(line).unwrap_or(i64::MAX),
            // The server stores no NUL.
            content: String::from_utf8_lossy(raw).replace('\0', "\u{fffd}"),
            problems: serde_json::to_string(problems).unwrap_or_else(|_| "[]".to_owned()),
        }
    }

    /// Where it begins in the file.
    pub(crate) fn line(&self) -> i64 {
        self.line
    }
}

/// Keeps the rows that failed in one batch; one statement, none where there are none.
pub(crate) async fn keep(
    tx: &mut Transaction,
    register: &Register,
    import_id: Uuid,
    kept: Vec<Kept>,
) -> Result<(), DataError> {
    if kept.is_empty() {
        return Ok(());
    }
    let (mut lines, mut contents, mut problems) = (Vec::new(), Vec::new(), Vec::new());
    for row in kept {
        lines.push(row.line);
        contents.push(row.content);
        problems.push(row.problems);
    }
    sqlx::query(KEEP_ROWS)
        .bind(register.tenant())
        .bind(register.loaded().key.0)
        .bind(import_id)
        .bind(lines)
        .bind(contents)
        .bind(problems)
        .execute(tx.connection())
        .await?;
    Ok(())
}

impl Register {
    /// Rows that imports with [`OnError::Quarantine`](crate::OnError::Quarantine) kept, the oldest
    /// first: at most 1,000, those after the key `after`, of one import or of all. One request.
    ///
    /// # Errors
    /// [`DataError::Db`] when the database cannot be reached.
    ///
    /// # Cancellation
    /// Safe: it only reads.
    pub async fn quarantined(
        &self,
        import_id: Option<Uuid>,
        after: Option<i64>,
    ) -> Result<Vec<QuarantinedRow>, DataError> {
        let rows: Vec<(i64, Uuid, i64, String, serde_json::Value, OffsetDateTime)> = self
            .transaction(async |tx| {
                let limit = i64::try_from(PAGE_ROWS_MAX).unwrap_or(i64::MAX);
                let rows = sqlx::query_as(LIST_ROWS)
                    .bind(self.tenant())
                    .bind(self.loaded().key.0)
                    .bind(after.unwrap_or_default())
                    .bind(import_id)
                    .bind(limit)
                    .fetch_all(tx.connection())
                    .await?;
                Ok(rows)
            })
            .await?;
        let rows = rows
            .into_iter()
            .map(
                |(key, import_id, line, content, problems, kept_at)| QuarantinedRow {
                    key,
                    import_id,
                    line: line.unsigned_abs(),
                    content,
                    problems,
                    kept_at,
                },
            );
        Ok(rows.collect())
    }

    /// Forgets quarantined rows, at most 1,000 at once, and says how many there were. One request.
    ///
    /// # Errors
    /// [`DataError::LimitReached`] for more keys; [`DataError::Db`] when the database cannot be
    /// reached.
    ///
    /// # Cancellation
    /// Either all are gone or none.
    pub async fn discard_quarantined(&self, keys: &[i64]) -> Result<u64, DataError> {
        if keys.len() > PAGE_ROWS_MAX {
            return Err(DataError::LimitReached {
                what: "quarantined rows",
                max: PAGE_ROWS_MAX,
            });
        }
        self.transaction(async |tx| {
            let done = sqlx::query(DISCARD_ROWS)
                .bind(self.tenant())
                .bind(self.loaded().key.0)
                .bind(keys)
                .execute(tx.connection())
                .await?;
            Ok(done.rows_affected())
        })
        .await
    }
}
