// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! What rows are linked to: the ids of reference fields, and whole rows at the other ends of
//! relationships. One statement for all rows of a page, never one for each.

use std::collections::BTreeMap;
use std::sync::Arc;

use forktex_db::Transaction;
use forktex_db::sqlx::Row as _;
use forktex_db::sqlx::postgres::PgRow;
use uuid::Uuid;

use crate::error::DataError;
use crate::filter::check::RelatedRegisters;
use crate::keys::RelationshipKey;
use crate::register::{LoadedRegister, Side};
use crate::relations::link::outgoing;
use crate::relationship::{Cardinality, Relationship};
use crate::row::{Row, RowId};

use super::RELATED_ROWS_MAX;
use super::page::{by_id, read_row, write_columns};
use super::sql::{Bind, Key, RowSource as _, SqlWriter};
use super::stored::StoredSource;

/// Reads the ids of the reference fields that are asked for, into the rows: one statement, none without
/// such a field.
pub(super) async fn read_references(
    tx: &mut Transaction,
    register: &LoadedRegister,
    fields: &[usize],
    rows: &mut [Row],
) -> Result<(), DataError> {
    let mut names: BTreeMap<RelationshipKey, Vec<&str>> = BTreeMap::new();
    for field in fields
        .iter()
        .filter_map(|place| register.fields.get(*place))
    {
        if let Some(relationship) = outgoing(register, field) {
            names
                .entry(relationship.key)
                .or_default()
                .push(field.name());
            let is_many = is_many(relationship, Side::Source);
            for row in rows.iter_mut() {
                row.set_references(field.name(), Vec::new(), is_many);
            }
        }
    }
    if names.is_empty() || rows.is_empty() {
        return Ok(());
    }
    let keys: Vec<i64> = names.keys().map(|key| key.0).collect();
    let statement = write_references(keys, ids(rows)).statement()?;
    let found = statement.fetch_all(tx.connection()).await?;
    check_count(found.len())?;
    let mut targets: BTreeMap<(RelationshipKey, Uuid), Vec<RowId>> = BTreeMap::new();
    for link in &found {
        let key = RelationshipKey(link.try_get("relationship_key")?);
        let target = RowId::from(link.try_get::<Uuid, _>("target_id")?);
        let own = link.try_get("source_id")?;
        targets.entry((key, own)).or_default().push(target);
    }
    let places = by_id(rows);
    for ((key, own), targets) in targets {
        let (Some(place), Some(names)) = (places.get(&own), names.get(&key)) else {
            continue;
        };
        let Some(row) = rows.get_mut(*place) else {
            continue;
        };
        let is_many = register
            .relationships
            .iter()
            .find(|relationship| relationship.key == key)
            .is_some_and(|relationship| is_many(relationship, Side::Source));
        for name in names {
            row.set_references(*name, targets.clone(), is_many);
        }
    }
    Ok(())
}

fn write_references(relationships: Vec<i64>, ids: Vec<Uuid>) -> SqlWriter {
    let mut writer = SqlWriter::default();
    let relationships = writer.bind(Bind::Integers(relationships));
    let ids = writer.bind(Bind::Uuids(ids));
    writer.push(&format!(
        "SELECT l.relationship_key, l.source_id, l.target_id\n\
         FROM forktex_data.link l\n\
         WHERE l.relationship_key = ANY ({relationships}::bigint[]) \
         AND l.source_id = ANY ({ids}::uuid[])\n\
         ORDER BY l.relationship_key, l.source_id, l.target_id\n\
         LIMIT {}",
        RELATED_ROWS_MAX + 1
    ));
    writer
}

/// Reads the rows at the other ends of these relationships, into the rows: one statement each.
pub(super) async fn read_related(
    tx: &mut Transaction,
    register: &LoadedRegister,
    related: &RelatedRegisters,
    names: &[String],
    rows: &mut [Row],
) -> Result<(), DataError> {
    for name in names {
        let found = register.relationship(name).zip(related.0.get(name));
        if let Some(((relationship, side), other)) = found {
            read_one(tx, relationship, side, other, name, rows).await?;
        }
    }
    Ok(())
}

async fn read_one(
    tx: &mut Transaction,
    relationship: &Relationship,
    side: Side,
    other: &Arc<LoadedRegister>,
    name: &str,
    rows: &mut [Row],
) -> Result<(), DataError> {
    if rows.is_empty() {
        return Ok(());
    }
    let statement = write_related(relationship.key, side, other, ids(rows)).statement()?;
    let found: Vec<PgRow> = statement.fetch_all(tx.connection()).await?;
    check_count(found.len())?;
    let fields: Vec<usize> = (0..other.fields.len()).collect();
    let mut by_own: BTreeMap<Uuid, Vec<Row>> = BTreeMap::new();
    for row in &found {
        let own = row.try_get("own_id")?;
        let read = read_row(other, &fields, row)?;
        by_own.entry(own).or_default().push(read);
    }
    let is_many = is_many(relationship, side);
    for row in rows {
        let related = by_own.remove(&row.id.as_uuid()).unwrap_or_default();
        row.set_related(name, related, is_many);
    }
    Ok(())
}

fn write_related(
    relationship: RelationshipKey,
    side: Side,
    other: &LoadedRegister,
    ids: Vec<Uuid>,
) -> SqlWriter {
    let (own, end) = match side {
        Side::Source => ("source_id", "target_id"),
        Side::Target => ("target_id", "source_id"),
    };
    let source = StoredSource::new(other);
    let base = source.base();
    let mut writer = SqlWriter::new(&format!("SELECT l.{own} AS own_id, "));
    write_columns(&mut writer, &base);
    let condition = source.condition(&mut writer);
    let relationship = writer.bind_key(Key::Relationship(relationship));
    let ids = writer.bind(Bind::Uuids(ids));
    writer.push(&format!(
        "\nFROM forktex_data.link l\n\
         JOIN {from} ON {condition} AND {id} = l.{end}\n\
         WHERE l.relationship_key = {relationship} AND l.{own} = ANY ({ids}::uuid[])\n\
         ORDER BY l.{own}, {id}\n\
         LIMIT {limit}",
        from = base.from,
        id = base.id,
        limit = RELATED_ROWS_MAX + 1,
    ));
    writer
}

/// Whether there can be more than one row at the other end.
fn is_many(relationship: &Relationship, side: Side) -> bool {
    match (relationship.cardinality, side) {
        (Cardinality::OneToOne, _) | (Cardinality::ManyToOne, Side::Source) => false,
        (Cardinality::ManyToOne, Side::Target) | (Cardinality::ManyToMany, _) => true,
    }
}

fn ids(rows: &[Row]) -> Vec<Uuid> {
    rows.iter().map(|row| row.id.as_uuid()).collect()
}

fn check_count(count: usize) -> Result<(), DataError> {
    if count > RELATED_ROWS_MAX {
        return Err(DataError::LimitReached {
            what: "related rows of a page",
            max: RELATED_ROWS_MAX,
        });
    }
    Ok(())
}
