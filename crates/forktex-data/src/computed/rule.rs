// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! Look-ups and rollups, resolved to keys: which of them a change of a register reaches, and what each of
//! them reads.

use forktex_db::Transaction;
use forktex_db::sqlx::types::Json;
use forktex_db::sqlx::{self, Row as _};

use super::registers_to_lock;
use crate::error::DataError;
use crate::field_type::{FieldType, Rollup};
use crate::keys::{FieldKey, RegisterKey, RelationshipKey};
use crate::register::{Field, LoadedRegister};
use crate::relationship::{self, Direction, Path};

/// The look-ups and rollups of some registers. $1: their keys. Index: `field (register_key, name)`.
const RELATED_FIELDS: &str = "\
SELECT register_key, key, definition->'type' AS field_type FROM forktex_data.field \
WHERE register_key = ANY($1) AND definition->'type'->>'kind' IN ('lookup', 'rollup')";

/// A look-up or rollup that a change of one register may reach.
#[derive(Clone, Debug)]
pub(super) struct Trigger {
    /// The register that has the field.
    pub(super) register: RegisterKey,
    pub(super) field: FieldKey,
    pub(super) relationship: RelationshipKey,
    /// Which way the field goes, from its own register.
    pub(super) direction: Direction,
    /// Whether the rows that it reads are those of the changed register; else only links reach it.
    pub(super) reads_changed: bool,
    /// The field of the changed register that it reads, if any.
    pub(super) reads: Option<FieldKey>,
    pub(super) is_rollup: bool,
}

/// What the field names: the relationship, and the field at its other end.
fn names(field_type: &FieldType) -> Option<(&str, Option<&str>, bool)> {
    match field_type {
        FieldType::Lookup { through, field } => {
            Some((through.as_str(), Some(field.as_str()), false))
        }
        FieldType::Rollup { through, aggregate } => {
            Some((through.as_str(), aggregate.field(), true))
        }
        _ => None,
    }
}

/// The look-ups and rollups that a change of the register may reach: its own, which links reach, and those
/// that read its rows. One round trip, and none where it is related to no other register.
pub(super) async fn triggers(
    tx: &mut Transaction,
    register: &LoadedRegister,
) -> Result<Vec<Trigger>, DataError> {
    let own = register.fields.iter().filter_map(|field| {
        trigger(
            register,
            register.key,
            field.key,
            &field.definition.field_type,
        )
    });
    let mut triggers: Vec<Trigger> = own.collect();
    let others: Vec<i64> = registers_to_lock(register)
        .into_iter()
        .filter(|key| *key != register.key)
        .map(|key| key.0)
        .collect();
    if others.is_empty() {
        return Ok(triggers);
    }
    let found = sqlx::query(RELATED_FIELDS)
        .bind(others)
        .fetch_all(tx.connection())
        .await?;
    for row in &found {
        let owner = RegisterKey(row.try_get("register_key")?);
        let field = FieldKey(row.try_get("key")?);
        let Json(field_type) = row.try_get::<Json<FieldType>, _>("field_type")?;
        // One that goes by a relationship with a third register is not reached.
        let trigger = trigger(register, owner, field, &field_type);
        triggers.extend(trigger.filter(|trigger| trigger.reads_changed));
    }
    Ok(triggers)
}

fn trigger(
    changed: &LoadedRegister,
    owner: RegisterKey,
    field: FieldKey,
    field_type: &FieldType,
) -> Option<Trigger> {
    let (through, read, is_rollup) = names(field_type)?;
    let path = relationship::find(&changed.relationships, owner, through)?;
    let reads_changed = path.other() == changed.key;
    let read = read
        .filter(|_| reads_changed)
        .and_then(|name| changed.field(name));
    Some(Trigger {
        register: owner,
        field,
        relationship: path.relationship.key,
        direction: path.direction,
        reads_changed,
        reads: read.map(|field| field.key),
        is_rollup,
    })
}

/// A look-up or rollup that is to be brought up to date, with what it reads.
pub(super) struct Rule<'r> {
    pub(super) field: &'r Field,
    pub(super) path: Path<'r>,
    /// The rollup; none for a look-up.
    pub(super) aggregate: Option<&'r Rollup>,
    /// The name of the field at the other end.
    pub(super) read_name: Option<&'r str>,
}

impl<'r> Rule<'r> {
    /// The rule of a field; none where it is no look-up or rollup, or goes by what is not there.
    pub(super) fn of(register: &'r LoadedRegister, field: &'r Field) -> Option<Self> {
        let field_type = &field.definition.field_type;
        let (through, read_name, _) = names(field_type)?;
        Some(Self {
            field,
            path: relationship::find(&register.relationships, register.key, through)?,
            aggregate: match field_type {
                FieldType::Rollup { aggregate, .. } => Some(aggregate),
                _ => None,
            },
            read_name,
        })
    }

    /// What rules that are answered by one statement have in common.
    pub(super) fn group(&self) -> (RelationshipKey, Direction, bool) {
        let path = self.path;
        (
            path.relationship.key,
            path.direction,
            self.aggregate.is_some(),
        )
    }
}
