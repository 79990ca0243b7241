// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! From what the database reports to what a queue says.

use std::sync::Arc;

use forktex_db::{DbError, MigrateError};

use crate::error::{Cause, QueueError};

const BACKEND: &str = "on Postgres";

/// The error of an attempt to `action`.
pub(super) fn failed(action: &'static str, error: DbError) -> QueueError {
    let backend = BACKEND;
    match error {
        DbError::Missing { .. } => QueueError::NotInitialised { backend, action },
        DbError::Unavailable { .. } => QueueError::Unavailable {
            backend,
            action,
            source: Some(cause(error)),
        },
        DbError::Timeout { .. } | DbError::OutcomeUnknown => QueueError::Timeout {
            backend,
            action,
            source: Some(cause(error)),
        },
        DbError::Unreadable { column } => QueueError::Corrupt {
            backend,
            action,
            what: column.map_or_else(
                || "a row".to_owned(),
                |column| format!("the column `{column}`"),
            ),
        },
        error => QueueError::Rejected {
            backend,
            action,
            code: error.sqlstate().unwrap_or("no code").to_owned(),
            source: Some(cause(error)),
        },
    }
}

/// The error of migrations.
pub(super) fn not_migrated(error: MigrateError) -> QueueError {
    let action = "set up the queue";
    match error {
        MigrateError::Database(error) => failed(action, error),
        MigrateError::Failed {
            source: source @ (DbError::Unavailable { .. } | DbError::Timeout { .. }),
            ..
        } => failed(action, source),
        error => QueueError::Rejected {
            backend: BACKEND,
            action,
            code: "a migration that does not fit".to_owned(),
            source: Some(Arc::new(error)),
        },
    }
}

fn cause(error: DbError) -> Cause {
    Arc::new(error)
}
