// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! Builds indexes, unique guards and search words from the rows that are there.
//!
//! Each batch locks its rows FOR SHARE in the statement that writes their entries, so that it and a writer
//! see each other's outcome: whoever comes second waits, and then goes by the row as it is.

use forktex_db::Transaction;
use forktex_db::sqlx::types::Json;
use forktex_db::sqlx::{self, Row as _};
use serde_json::Value as JsonValue;
use uuid::Uuid;

use crate::catalog::{self, Edit};
use crate::error::DataError;
use crate::index::statement::{
    DUPLICATES_NUMBER, DUPLICATES_TEXT, INDEX_NUMBER, INDEX_TEXT, SHUT_OUT_NUMBER, SHUT_OUT_TEXT,
    UNIQUE_NUMBER, UNIQUE_TEXT,
};
use crate::index::{Scope, batch_rows, walk_in_order};
use crate::keys::{FieldKey, RegisterKey};
use crate::limits::INDEXED_TEXT_LENGTH_MAX;
use crate::register::{BuildState, Field, LoadedRegister};
use crate::rows::cells;
use crate::schema::SchemaError;
use crate::search::{self, SearchEntry};
use crate::tenant_data::TenantData;
use crate::value::ValueKind;

/// How often a batch that lost a race is run again.
pub(super) const RETRIES: u32 = 5;

/// Rows of a batch whose words are made anew: each has many.
const SEARCH_BATCH_ROWS: i64 = 1_000;

const NEXT: &str = "
    SELECT key, register_key FROM forktex_data.field
    WHERE tenant_id = $1 AND ($2::bigint[] IS NULL OR register_key = ANY($2))
        AND (index_state = 'building' OR unique_state = 'building' OR search_state = 'building')
    ORDER BY key
    LIMIT 1";

/// Builders of one field take turns here, and the definition that is read next holds until the end.
const LOCK: &str = "
    SELECT f.index_state, f.unique_state, f.search_state, f.index_after, f.unique_after
    FROM forktex_data.field f
    JOIN forktex_data.register r ON r.key = f.register_key
    WHERE f.key = $1 AND f.tenant_id = $2
    FOR UPDATE OF f
    FOR KEY SHARE OF r";

const SEARCH_ROWS: &str = "
    SELECT id, cells FROM forktex_data.row
    WHERE register_key = $2 AND tenant_id = $1 AND id > $3
    ORDER BY id
    LIMIT $4
    FOR SHARE";

/// The words are those of all fields, so that one pass serves all that are being built. It begins behind
/// the row that the last of them has seen.
const SEARCH_LOCK: &str = "
    SELECT key, search_after FROM forktex_data.field
    WHERE register_key = $2 AND tenant_id = $1 AND search_state = 'building'
    ORDER BY key
    FOR UPDATE";

const SEARCH_STANDS: &str = "
    UPDATE forktex_data.field
    SET search_after = $3, search_state = CASE WHEN $3::uuid IS NULL THEN 'ready' ELSE 'building' END
    WHERE key = ANY($2) AND tenant_id = $1";

const INDEX_STANDS: &str = "
    UPDATE forktex_data.field
    SET index_after = $3, index_state = CASE WHEN $3::uuid IS NULL THEN 'ready' ELSE 'building' END
    WHERE key = $2 AND tenant_id = $1";

const UNIQUE_STANDS: &str = "
    UPDATE forktex_data.field
    SET unique_after = $3, unique_state = CASE WHEN $3::uuid IS NULL THEN 'ready' ELSE 'building' END
    WHERE key = $2 AND tenant_id = $1";

/// What came of one batch.
enum Step {
    /// There was nothing to do.
    Idle,
    /// A batch was done, by this builder or by another one.
    Done,
    /// The index on a table is complete, and was long in the making.
    Completed(&'static str),
    /// The build cannot succeed.
    Failed(Failure),
}

struct Failure {
    register: String,
    field: String,
    /// Whether it was to be unique; else indexed.
    is_unique: bool,
    error: SchemaError,
}

/// Builds what is to be built, batch after batch. What cannot succeed is given up: its field is put back,
/// and the others go on.
pub(super) async fn run(
    tenant: &TenantData,
    scope: Scope<'_>,
) -> Result<Vec<SchemaError>, DataError> {
    let mut failures = Vec::new();
    while !scope.is_over() {
        let step = tenant
            .data()
            .db()
            .retrying(RETRIES)
            .for_org(tenant.org())
            .transaction(async |tx| -> Result<Step, DataError> { step(tx, tenant, scope).await })
            .await?;
        match step {
            Step::Idle => break,
            Step::Done => {}
            Step::Completed(table) => analyze(tenant, table).await,
            Step::Failed(failure) => {
                give_up(tenant, &failure).await?;
                tracing::warn!(
                    tenant = %tenant.org(),
                    register = %failure.register,
                    field = %failure.field,
                    "an index or a unique guard could not be built"
                );
                failures.push(failure.error);
            }
        }
    }
    Ok(failures)
}

/// One batch of one build.
async fn step(
    tx: &mut Transaction,
    tenant: &TenantData,
    scope: Scope<'_>,
) -> Result<Step, DataError> {
    let org = tenant.org();
    let next = sqlx::query(NEXT)
        .bind(org)
        .bind(scope.keys())
        .fetch_optional(tx.connection())
        .await?;
    let Some(next) = next else {
        return Ok(Step::Idle);
    };
    walk_in_order(tx).await?;
    let key = FieldKey(next.try_get("key")?);
    let register = RegisterKey(next.try_get("register_key")?);
    let locked = sqlx::query(LOCK)
        .bind(key.0)
        .bind(org)
        .fetch_optional(tx.connection())
        .await?;
    let Some(locked) = locked else {
        return Ok(Step::Done);
    };
    let is_building = |column: &str| -> Result<bool, sqlx::Error> {
        let state: String = locked.try_get(column)?;
        Ok(state == BuildState::Building.as_str())
    };
    let after = |column: &str| -> Result<Uuid, sqlx::Error> {
        let after: Option<Uuid> = locked.try_get(column)?;
        Ok(after.unwrap_or_default())
    };
    let found = catalog::load::by_keys(tx, org, &[register]).await?;
    let Some(register) = found.first() else {
        return Ok(Step::Done);
    };
    let Some(field) = register.field_by_key(key) else {
        return Ok(Step::Done);
    };
    let batch = Batch {
        org,
        register,
        field,
    };
    if is_building("index_state")? {
        batch.index(tx, after("index_after")?).await
    } else if is_building("unique_state")? {
        batch.guard(tx, after("unique_after")?).await
    } else if is_building("search_state")? {
        batch.search(tx).await
    } else {
        // Another builder was quicker.
        Ok(Step::Done)
    }
}

/// A batch of one field's build.
struct Batch<'a> {
    org: Uuid,
    register: &'a LoadedRegister,
    field: &'a Field,
}

/// What a batch has met.
struct Outcome {
    too_long: u64,
    /// The last row; none where there was none.
    last: Option<Uuid>,
    /// Whether rows may be left behind it.
    goes_on: bool,
}

impl Batch<'_> {
    /// Writes the entries of an index.
    async fn index(&self, tx: &mut Transaction, after: Uuid) -> Result<Step, DataError> {
        let (statement, table) = if self.field.kind.is_number() {
            (INDEX_NUMBER, "value_number")
        } else {
            (INDEX_TEXT, "value_text")
        };
        let outcome = self.write(tx, statement, after).await?;
        if outcome.too_long > 0 {
            return Ok(self.failed(false, self.too_long(outcome.too_long)));
        }
        self.note(tx, INDEX_STANDS, &outcome).await?;
        // A short table is looked at by the server itself soon enough.
        let was_long = !after.is_nil();
        Ok(if was_long && !outcome.goes_on {
            Step::Completed(table)
        } else {
            Step::Done
        })
    }

    /// Takes the values of a unique field.
    async fn guard(&self, tx: &mut Transaction, after: Uuid) -> Result<Step, DataError> {
        let (statement, shut_out, duplicates) = if self.field.kind.is_number() {
            (UNIQUE_NUMBER, SHUT_OUT_NUMBER, DUPLICATES_NUMBER)
        } else {
            (UNIQUE_TEXT, SHUT_OUT_TEXT, DUPLICATES_TEXT)
        };
        let outcome = self.write(tx, statement, after).await?;
        if outcome.too_long > 0 {
            return Ok(self.failed(true, self.too_long(outcome.too_long)));
        }
        if let Some(last) = outcome.last {
            let shut_out: i64 = sqlx::query_scalar(shut_out)
                .bind(self.org)
                .bind(self.field.key.0)
                .bind(self.register.key.0)
                .bind(after)
                .bind(last)
                .bind(json_type(self.field.kind))
                .fetch_one(tx.connection())
                .await?;
            if shut_out > 0 {
                let error = self.count_duplicates(tx, duplicates).await?;
                return Ok(self.failed(true, error));
            }
        }
        self.note(tx, UNIQUE_STANDS, &outcome).await?;
        Ok(Step::Done)
    }

    /// Makes words for all fields of the register that are to be searched.
    async fn search(&self, tx: &mut Transaction) -> Result<Step, DataError> {
        let locked = sqlx::query(SEARCH_LOCK)
            .bind(self.org)
            .bind(self.register.key.0)
            .fetch_all(tx.connection())
            .await?;
        let mut keys = Vec::with_capacity(locked.len());
        let mut seen = Vec::with_capacity(locked.len());
        for row in &locked {
            keys.push(row.try_get::<i64, _>("key")?);
            let after: Option<Uuid> = row.try_get("search_after")?;
            seen.push(after.unwrap_or_default());
        }
        let after = seen.into_iter().min().unwrap_or_default();
        let last = search_batch(tx, self.org, self.register, after).await?;
        sqlx::query(SEARCH_STANDS)
            .bind(self.org)
            .bind(keys)
            .bind(last)
            .execute(tx.connection())
            .await?;
        Ok(Step::Done)
    }

    async fn write(
        &self,
        tx: &mut Transaction,
        statement: &'static str,
        after: Uuid,
    ) -> Result<Outcome, DataError> {
        let row = sqlx::query(statement)
            .bind(self.org)
            .bind(self.field.key.0)
            .bind(self.register.key.0)
            .bind(after)
            .bind(batch_rows())
            .bind(too_long_from())
            .bind(json_type(self.field.kind))
            .fetch_one(tx.connection())
            .await?;
        Ok(Outcome {
            too_long: row.try_get::<i64, _>("too_long")?.unsigned_abs(),
            last: row.try_get("last")?,
            goes_on: row.try_get::<i64, _>("rows")? >= batch_rows(),
        })
    }

    /// Notes where the build stands; it is complete when no row is left.
    async fn note(
        &self,
        tx: &mut Transaction,
        statement: &'static str,
        outcome: &Outcome,
    ) -> Result<(), DataError> {
        sqlx::query(statement)
            .bind(self.org)
            .bind(self.field.key.0)
            .bind(outcome.last.filter(|_| outcome.goes_on))
            .execute(tx.connection())
            .await?;
        Ok(())
    }

    async fn count_duplicates(
        &self,
        tx: &mut Transaction,
        statement: &'static str,
    ) -> Result<SchemaError, DataError> {
        let values: i64 = sqlx::query_scalar(statement)
            .bind(self.org)
            .bind(self.field.key.0)
            .bind(self.register.key.0)
            .bind(json_type(self.field.kind))
            .fetch_one(tx.connection())
            .await?;
        Ok(SchemaError::Duplicates {
            register: self.register.name.clone(),
            field: self.field.name().to_owned(),
            // The other row may have been written a moment ago, and be seen only by the guard.
            values: values.unsigned_abs().max(1),
        })
    }

    fn too_long(&self, rows: u64) -> SchemaError {
        SchemaError::ValuesTooLong {
            register: self.register.name.clone(),
            field: self.field.name().to_owned(),
            rows,
            max: INDEXED_TEXT_LENGTH_MAX,
        }
    }

    fn failed(&self, is_unique: bool, error: SchemaError) -> Step {
        Step::Failed(Failure {
            register: self.register.name.clone(),
            field: self.field.name().to_owned(),
            is_unique,
            error,
        })
    }
}

/// Makes the words of a batch of rows anew. Gives its last row; none when no row is left behind it.
pub(super) async fn search_batch(
    tx: &mut Transaction,
    org: Uuid,
    register: &LoadedRegister,
    after: Uuid,
) -> Result<Option<Uuid>, DataError> {
    let rows = sqlx::query(SEARCH_ROWS)
        .bind(org)
        .bind(register.key.0)
        .bind(after)
        .bind(SEARCH_BATCH_ROWS)
        .fetch_all(tx.connection())
        .await?;
    let mut entries = Vec::with_capacity(rows.len());
    for row in &rows {
        let cells: Json<JsonValue> = row.try_get("cells")?;
        entries.push(SearchEntry {
            row_id: row.try_get("id")?,
            words: words(register, &cells.0),
            is_new: false,
        });
    }
    let last = entries.last().map(|entry| entry.row_id);
    if !entries.is_empty() {
        search::write_entries(tx, org, register.key, &entries).await?;
    }
    let goes_on = i64::try_from(rows.len()).is_ok_and(|rows| rows >= SEARCH_BATCH_ROWS);
    Ok(last.filter(|_| goes_on))
}

/// The words of a row, by all fields that are searched or will be.
fn words(register: &LoadedRegister, json: &JsonValue) -> Vec<String> {
    let cells = cells::read(register, json);
    let searchable = register
        .fields
        .iter()
        .filter(|field| field.search.is_kept());
    let texts: Vec<String> = searchable
        .filter_map(|field| Some(cells.get(&field.key)?.value()?.canonical_text()))
        .collect();
    search::words_of(texts.iter().map(String::as_str))
}

/// Puts the field back to what it was before it was asked to be indexed or unique, if it is still there.
async fn give_up(tenant: &TenantData, failure: &Failure) -> Result<(), DataError> {
    let given_up = tenant
        .change(async |tx| -> Result<(), DataError> {
            let mut edit = Edit::begin(tx, tenant).await?;
            let register = edit.register(&failure.register)?;
            let mut definition = register.require_field(&failure.field)?.definition.clone();
            if failure.is_unique {
                definition.unique = false;
            } else {
                definition.indexed = false;
            }
            edit.change_field(&failure.register, &definition).await?;
            edit.finish(tenant.actor()).await?;
            Ok(())
        })
        .await;
    match given_up {
        Err(error) if !error.is_not_found() => Err(error),
        _ => Ok(()),
    }
}

/// Tells the planner of a table that has grown much. A role that may not is not told so as an error: the
/// server does it by itself, later.
async fn analyze(tenant: &TenantData, table: &'static str) {
    let statement = match table {
        "value_number" => "ANALYZE forktex_data.value_number",
        _ => "ANALYZE forktex_data.value_text",
    };
    let analyzed = tenant
        .transaction(async |tx| -> Result<(), DataError> {
            sqlx::query(statement).execute(tx.connection()).await?;
            Ok(())
        })
        .await;
    if let Err(error) = analyzed {
        tracing::debug!(%error, table, "the planner was not told of a new index");
    }
}

/// What JSON calls the values of a kind, as they are stored.
fn json_type(kind: ValueKind) -> &'static str {
    match kind {
        ValueKind::Integer => "number",
        ValueKind::Boolean => "boolean",
        ValueKind::Json => "array",
        _ => "string",
    }
}

/// The length from which a text is too long.
fn too_long_from() -> i32 {
    i32::try_from(INDEXED_TEXT_LENGTH_MAX + 1).unwrap_or(i32::MAX)
}
