// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! Deletes rows for good, as planned: with all that cascades, and without anything where a row that stays
//! restricts it.
//!
//! The rows are locked before their links are read, in the order of register and id, and a link needs a
//! lock on its target that this one excludes: so no link comes to a row between the plan and the deletion.

use std::collections::{BTreeMap, BTreeSet};

use async_trait::async_trait;
use forktex_db::Transaction;
use forktex_db::sqlx::{self, Row as _};
use time::OffsetDateTime;
use uuid::Uuid;

use super::delete_plan::{self, Closure, DeletePlan, IncomingLink, LinkSource, RowRef};
use crate::catalog;
use crate::computed::{self, ChangedRow, LinkChange};
use crate::error::DataError;
use crate::keys::{RegisterKey, RelationshipKey};
use crate::register::LoadedRegister;
use crate::relationship::OnDelete;
use crate::rows::history::RowAction;
use crate::rows::write::{self, RowWrite, Target};
use crate::rows::{lock, read};

/// Rows that are handled by one statement.
const ROWS_PER_STATEMENT: usize = 1_000;

/// Locks the rows that are there. $1, $2: registers and ids. Locks: row FOR UPDATE, in key order. Index:
/// the primary key.
const HOLD: &str = "\
SELECT r.register_key, r.id FROM forktex_data.row AS r \
JOIN unnest($1::bigint[], $2::uuid[]) AS w (register_key, id) \
ON r.register_key = w.register_key AND r.id = w.id \
ORDER BY r.register_key, r.id FOR UPDATE OF r";

/// The rows that are there, without a lock: for a dry run.
const LOOK: &str = "\
SELECT r.register_key, r.id FROM forktex_data.row AS r \
JOIN unnest($1::bigint[], $2::uuid[]) AS w (register_key, id) \
ON r.register_key = w.register_key AND r.id = w.id \
ORDER BY r.register_key, r.id";

/// The links to some rows. $1, $2: registers and ids; $3: how many at most. Index: `link_target`.
const LINKS_TO: &str = "\
SELECT l.relationship_key, l.source_register_key, l.source_id, l.target_register_key, l.target_id, \
p.name, p.on_delete, s.name AS source_name \
FROM unnest($1::bigint[], $2::uuid[]) AS w (register_key, id) \
JOIN forktex_data.link AS l ON l.target_register_key = w.register_key AND l.target_id = w.id \
JOIN forktex_data.relationship AS p ON p.key = l.relationship_key \
JOIN forktex_data.register AS s ON s.key = p.source_register_key \
LIMIT $3";

/// Takes out all links of some rows of one register, in either direction. $1: the register; $2: ids.
/// Indexes: `link_source`, `link_target`.
const UNLINK: &str = "\
WITH outgoing AS (DELETE FROM forktex_data.link \
WHERE source_register_key = $1 AND source_id = ANY($2) \
RETURNING relationship_key, source_id, target_id), \
incoming AS (DELETE FROM forktex_data.link \
WHERE target_register_key = $1 AND target_id = ANY($2) \
AND NOT (source_register_key = $1 AND source_id = ANY($2)) \
RETURNING relationship_key, source_id, target_id) \
SELECT relationship_key, source_id, target_id FROM outgoing \
UNION ALL SELECT relationship_key, source_id, target_id FROM incoming";

/// Holds the definitions of registers until the transaction ends. $1: their keys. Locks: register FOR KEY
/// SHARE, in key order.
const HOLD_REGISTERS: &str =
    "SELECT key FROM forktex_data.register WHERE key = ANY($1) ORDER BY key FOR KEY SHARE";

/// Plans the deletion of rows and changes nothing. A round trip or two for each step of a cascade.
///
/// # Errors
/// [`DataError::RowNotFound`], [`DataError::LimitReached`] beyond 100,000 rows and links.
pub(crate) async fn plan_delete(
    tx: &mut Transaction,
    register: &LoadedRegister,
    ids: &[Uuid],
) -> Result<DeletePlan, DataError> {
    let mut links = StoredLinks {
        tx: &mut *tx,
        rows: LOOK,
    };
    let closure = delete_plan::plan(&mut links, register.key, &register.name, ids).await?;
    Ok(closure.summary())
}

/// Deletes rows and what cascades, takes out the links of the rows that stay, writes the history, and
/// brings what was computed from them up to date: `recompute_rows_max` rows in this transaction, the rest
/// is queued. Some round trips for each step of the cascade and each thousand rows.
///
/// # Errors
/// Those of [`plan_delete`], and [`RelationError::Restricted`](crate::RelationError::Restricted) when a
/// row that stays restricts it. Nothing has been changed then.
pub(crate) async fn delete_rows(
    tx: &mut Transaction,
    tenant: Uuid,
    register: &LoadedRegister,
    ids: &[Uuid],
    changed_by: Option<Uuid>,
    recompute_rows_max: usize,
) -> Result<DeletePlan, DataError> {
    let mut links = StoredLinks {
        tx: &mut *tx,
        rows: HOLD,
    };
    let closure = delete_plan::plan(&mut links, register.key, &register.name, ids).await?;
    closure.check(&register.name)?;

    let registers = load(tx, tenant, register, &closure).await?;
    let unlinked = Unlinked::begin(tx, &registers, by_register(&closure.unlinked)).await?;
    let deleted = by_register(&closure.deleted);
    let mut changes: BTreeMap<RegisterKey, Vec<LinkChange>> = BTreeMap::new();
    // All links go first: rows of any register may be linked to each other.
    for (key, ids) in &deleted {
        let links = changes.entry(*key).or_default();
        for ids in ids.chunks(ROWS_PER_STATEMENT) {
            links.extend(unlink(tx, *key, ids).await?);
        }
    }
    for (key, ids) in &deleted {
        let register = known(&registers, *key)?;
        for ids in ids.chunks(ROWS_PER_STATEMENT) {
            let rows = lock::rows_for_delete(tx, register, ids).await?;
            write::remove(tx, tenant, register, changed_by, &rows).await?;
        }
    }
    unlinked.write(tx, tenant, changed_by, &registers).await?;
    for (key, links) in changes {
        let ends = [ChangedRow::of_links(links)];
        let register = known(&registers, key)?;
        computed::after_write(tx, tenant, register, &ends, recompute_rows_max).await?;
    }
    Ok(closure.summary())
}

/// The definitions of all registers that the deletion touches, held. Two round trips where there are
/// others than the caller's.
async fn load(
    tx: &mut Transaction,
    tenant: Uuid,
    register: &LoadedRegister,
    closure: &Closure,
) -> Result<BTreeMap<RegisterKey, LoadedRegister>, DataError> {
    let mut registers = BTreeMap::from([(register.key, register.clone())]);
    let touched = closure.deleted.iter().chain(&closure.unlinked);
    let mut others: Vec<RegisterKey> = touched
        .map(|row| row.register)
        .filter(|key| *key != register.key)
        .collect();
    others.sort_unstable();
    others.dedup();
    if !others.is_empty() {
        let keys: Vec<i64> = others.iter().map(|key| key.0).collect();
        sqlx::query(HOLD_REGISTERS)
            .bind(keys)
            .execute(tx.connection())
            .await?;
        let loaded = catalog::load::by_keys(tx, tenant, &others).await?;
        registers.extend(loaded.into_iter().map(|register| (register.key, register)));
    }
    Ok(registers)
}

fn known(
    registers: &BTreeMap<RegisterKey, LoadedRegister>,
    key: RegisterKey,
) -> Result<&LoadedRegister, DataError> {
    registers
        .get(&key)
        .ok_or_else(|| DataError::corrupt("register", key))
}

fn by_register(rows: &BTreeSet<RowRef>) -> BTreeMap<RegisterKey, Vec<Uuid>> {
    let mut sorted: BTreeMap<RegisterKey, Vec<Uuid>> = BTreeMap::new();
    for row in rows {
        sorted.entry(row.register).or_default().push(row.id);
    }
    sorted
}

async fn unlink(
    tx: &mut Transaction,
    register: RegisterKey,
    ids: &[Uuid],
) -> Result<Vec<LinkChange>, DataError> {
    let removed = sqlx::query(UNLINK)
        .bind(register.0)
        .bind(ids)
        .fetch_all(tx.connection())
        .await?;
    removed
        .iter()
        .map(|row| {
            Ok(LinkChange {
                relationship: RelationshipKey(row.try_get("relationship_key")?),
                source: row.try_get("source_id")?,
                target: row.try_get("target_id")?,
            })
        })
        .collect()
}

/// The rows that stay and lose a link. That is a change of theirs: it raises their version, and stands in
/// their history.
struct Unlinked {
    rows: BTreeMap<RegisterKey, Vec<lock::StoredRow>>,
}

impl Unlinked {
    /// Locks the rows, before their links are taken out.
    async fn begin(
        tx: &mut Transaction,
        registers: &BTreeMap<RegisterKey, LoadedRegister>,
        ids: BTreeMap<RegisterKey, Vec<Uuid>>,
    ) -> Result<Self, DataError> {
        let mut rows = BTreeMap::new();
        for (key, ids) in ids {
            let locked = lock::rows(tx, known(registers, key)?, &ids).await?;
            rows.insert(key, locked);
        }
        Ok(Self { rows })
    }

    /// Writes their new versions, after their links are gone.
    async fn write(
        &self,
        tx: &mut Transaction,
        tenant: Uuid,
        actor: Option<Uuid>,
        registers: &BTreeMap<RegisterKey, LoadedRegister>,
    ) -> Result<(), DataError> {
        let now = OffsetDateTime::now_utc();
        for (key, rows) in &self.rows {
            let register = known(registers, *key)?;
            let target = Target {
                tenant,
                actor,
                register,
            };
            for rows in rows.chunks(ROWS_PER_STATEMENT) {
                let ids: Vec<Uuid> = rows.iter().map(|row| row.id).collect();
                let mut references = if register.keeps_history {
                    read::references(tx, register, &ids).await?
                } else {
                    BTreeMap::new()
                };
                let writes: Vec<RowWrite> = rows
                    .iter()
                    .map(|row| {
                        let mut after = row.clone();
                        after.version += 1;
                        after.updated_at = now;
                        RowWrite {
                            before: Some(row.clone()),
                            after: Some(after),
                            references: references.remove(&row.id).unwrap_or_default(),
                        }
                    })
                    .collect();
                write::update(tx, target, &writes, RowAction::Updated).await?;
            }
        }
        Ok(())
    }
}

/// The links that are stored.
struct StoredLinks<'t> {
    tx: &'t mut Transaction,
    /// The statement that finds the rows: [`HOLD`] or [`LOOK`].
    rows: &'static str,
}

#[async_trait]
impl LinkSource for StoredLinks<'_> {
    async fn hold(&mut self, rows: &[RowRef]) -> Result<Vec<RowRef>, DataError> {
        let (registers, ids) = columns(rows);
        let held = sqlx::query(self.rows)
            .bind(registers)
            .bind(ids)
            .fetch_all(self.tx.connection())
            .await?;
        held.iter()
            .map(|row| {
                Ok(RowRef {
                    register: RegisterKey(row.try_get("register_key")?),
                    id: row.try_get("id")?,
                })
            })
            .collect()
    }

    async fn links_to(
        &mut self,
        targets: &[RowRef],
        links_max: usize,
    ) -> Result<Vec<IncomingLink>, DataError> {
        let (registers, ids) = columns(targets);
        let links = sqlx::query(LINKS_TO)
            .bind(registers)
            .bind(ids)
            .bind(i64::try_from(links_max).unwrap_or(i64::MAX))
            .fetch_all(self.tx.connection())
            .await?;
        links.iter().map(read_link).collect()
    }
}

fn columns(rows: &[RowRef]) -> (Vec<i64>, Vec<Uuid>) {
    rows.iter().map(|row| (row.register.0, row.id)).unzip()
}

fn read_link(row: &sqlx::postgres::PgRow) -> Result<IncomingLink, DataError> {
    let relationship = RelationshipKey(row.try_get("relationship_key")?);
    let rule: String = row.try_get("on_delete")?;
    let on_delete =
        OnDelete::parse(&rule).ok_or_else(|| DataError::corrupt("relationship", relationship))?;
    Ok(IncomingLink {
        relationship,
        source: RowRef {
            register: RegisterKey(row.try_get("source_register_key")?),
            id: row.try_get("source_id")?,
        },
        target: RowRef {
            register: RegisterKey(row.try_get("target_register_key")?),
            id: row.try_get("target_id")?,
        },
        on_delete,
        name: row.try_get("name")?,
        source_name: row.try_get("source_name")?,
    })
}
