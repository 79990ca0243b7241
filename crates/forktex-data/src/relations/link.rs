// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! Writes links. It computes nothing from them: the caller hands what was changed to
//! `computed::after_write`.
//!
//! Cardinality is held by the unique indexes of the table, so that two writers who link at the same time
//! cannot both succeed. Targets are found by register and id, so that a row of another tenant or register
//! is not there.

use std::collections::BTreeSet;

use forktex_db::sqlx::{self, Row as _};
use forktex_db::{DbError, Transaction};
use uuid::Uuid;

pub(crate) use crate::computed::LinkChange;
use crate::error::{DataError, nearest};
use crate::field_type::FieldType;
use crate::keys::RelationshipKey;
use crate::limits::REFERENCES_MAX;
use crate::register::{Field, LoadedRegister};
use crate::relation_error::RelationError;
use crate::relationship::{self, Direction, Path, Relationship};
use crate::row::RowId;

/// Links that one statement writes.
const LINKS_PER_STATEMENT: usize = 10_000;

/// The unique index that keeps a source to one target.
const ONE_TARGET: &str = "link_one_target";

/// The unique index that keeps a target to one source.
const ONE_SOURCE: &str = "link_one_source";

/// What a foreign key says of a row that is gone.
const FOREIGN_KEY: &str = "23503";

/// Takes out the links of sources that are not among those wanted. $1, $2: relationships and sources;
/// $3, $4, $5: relationships, sources and targets that stay. Locks: link. Index: the primary key.
const REMOVE_OTHERS: &str = "\
DELETE FROM forktex_data.link AS l \
USING unnest($1::bigint[], $2::uuid[]) AS w (relationship_key, source_id) \
WHERE l.relationship_key = w.relationship_key AND l.source_id = w.source_id \
AND NOT EXISTS (\
SELECT 1 FROM unnest($3::bigint[], $4::uuid[], $5::uuid[]) AS k (relationship_key, source_id, target_id) \
WHERE k.relationship_key = l.relationship_key AND k.source_id = l.source_id AND k.target_id = l.target_id) \
RETURNING l.relationship_key, l.source_id, l.target_id";

/// Adds links whose two rows are there. $1: the tenant; then by column. Locks: link, and both rows FOR KEY
/// SHARE by the foreign keys.
const ADD: &str = "\
INSERT INTO forktex_data.link (relationship_key, source_register_key, source_id, target_register_key, \
target_id, tenant_id, one_target, one_source) \
SELECT w.relationship_key, w.source_register_key, w.source_id, w.target_register_key, w.target_id, $1, \
w.one_target, w.one_source \
FROM unnest($2::bigint[], $3::bigint[], $4::uuid[], $5::bigint[], $6::uuid[], $7::boolean[], $8::boolean[]) \
AS w (relationship_key, source_register_key, source_id, target_register_key, target_id, one_target, \
one_source) \
WHERE EXISTS (SELECT 1 FROM forktex_data.row AS t \
WHERE t.register_key = w.target_register_key AND t.id = w.target_id) \
AND EXISTS (SELECT 1 FROM forktex_data.row AS s \
WHERE s.register_key = w.source_register_key AND s.id = w.source_id) \
ORDER BY w.relationship_key, w.source_id, w.target_id \
ON CONFLICT (relationship_key, source_id, target_id) DO NOTHING \
RETURNING relationship_key, source_id, target_id";

/// The first of some rows that is not there. $1, $2: registers and ids. Index: the primary key.
const FIRST_MISSING: &str = "\
SELECT w.register_key, w.id FROM unnest($1::bigint[], $2::uuid[]) AS w (register_key, id) \
WHERE NOT EXISTS (SELECT 1 FROM forktex_data.row AS r \
WHERE r.register_key = w.register_key AND r.id = w.id) \
ORDER BY w.register_key, w.id LIMIT 1";

/// Takes one link out. $1: the relationship; $2: the source; $3: the target. Index: the primary key.
const REMOVE_ONE: &str = "\
DELETE FROM forktex_data.link WHERE relationship_key = $1 AND source_id = $2 AND target_id = $3";

/// What a row shall be linked to by one relationship of which it is the source.
#[derive(Clone, Debug)]
pub(crate) struct LinkWrite {
    pub(crate) relationship: RelationshipKey,
    /// The source.
    pub(crate) row_id: Uuid,
    /// All targets that it has afterwards.
    pub(crate) targets: Vec<Uuid>,
    /// Whether the row was created in this transaction, so that it has no link yet.
    pub(crate) is_new: bool,
}

/// The relationship of a reference field.
pub(crate) fn outgoing<'r>(
    register: &'r LoadedRegister,
    field: &Field,
) -> Option<&'r Relationship> {
    let FieldType::Reference { relationship } = &field.definition.field_type else {
        return None;
    };
    register
        .relationships
        .iter()
        .find(|known| known.source == register.key && known.name == *relationship)
}

/// Makes the links of each row to be those that are given, and tells what was taken out and added. The
/// rows must have been written before. One round trip for up to 10,000 links of new rows, two otherwise;
/// none where nothing is to be done.
///
/// # Errors
/// [`DataError::RowNotFound`] when a target is not there, [`RelationError::Cardinality`] when a row would
/// have more links than the relationship allows. Either may leave some links written: roll back.
pub(crate) async fn write_links(
    tx: &mut Transaction,
    tenant: Uuid,
    register: &LoadedRegister,
    writes: &[LinkWrite],
) -> Result<Vec<LinkChange>, DataError> {
    let wanted = wanted(register, writes)?;
    let mut changes = Vec::new();
    let old: Vec<&LinkWrite> = writes.iter().filter(|write| !write.is_new).collect();
    for chunk in old.chunks(LINKS_PER_STATEMENT) {
        changes.extend(remove_others(tx, chunk).await?);
    }
    for chunk in wanted.chunks(LINKS_PER_STATEMENT) {
        changes.extend(add(tx, tenant, register, chunk).await?);
    }
    Ok(changes)
}

/// Links two rows by a relationship, under its name at either side; the other links of both stay. Linking
/// what is linked changes nothing. One round trip.
///
/// # Errors
/// As [`write_links`], and [`RelationError::NotFound`] when there is no such relationship.
pub(crate) async fn link(
    tx: &mut Transaction,
    tenant: Uuid,
    register: &LoadedRegister,
    name: &str,
    row_id: Uuid,
    other: Uuid,
) -> Result<Vec<LinkChange>, DataError> {
    let wanted = Wanted::along(find(register, name)?, row_id, other);
    add(tx, tenant, register, &[wanted]).await
}

/// Takes the link between two rows out. Nothing is changed where there is none. One round trip, and one
/// more where there is none.
///
/// # Errors
/// [`RelationError::NotFound`] when there is no such relationship; [`DataError::RowNotFound`] when the
/// other row is not there.
pub(crate) async fn unlink(
    tx: &mut Transaction,
    _tenant: Uuid,
    register: &LoadedRegister,
    name: &str,
    row_id: Uuid,
    other: Uuid,
) -> Result<Vec<LinkChange>, DataError> {
    let path = find(register, name)?;
    let wanted = Wanted::along(path, row_id, other);
    let change = LinkChange {
        relationship: wanted.relationship.key,
        source: wanted.source,
        target: wanted.target,
    };
    let removed = sqlx::query(REMOVE_ONE)
        .bind(change.relationship.0)
        .bind(change.source)
        .bind(change.target)
        .execute(tx.connection())
        .await?;
    if removed.rows_affected() > 0 {
        return Ok(vec![change]);
    }
    let missing = sqlx::query(FIRST_MISSING)
        .bind([path.other().0].as_slice())
        .bind([other].as_slice())
        .fetch_optional(tx.connection())
        .await?;
    match missing {
        Some(_) => Err(DataError::RowNotFound {
            register: path.other_name().to_owned(),
            id: RowId::from(other),
        }),
        None => Ok(Vec::new()),
    }
}

/// The relationship of this name at either side of the register.
pub(crate) fn find<'r>(register: &'r LoadedRegister, name: &str) -> Result<Path<'r>, DataError> {
    relationship::find(&register.relationships, register.key, name).ok_or_else(|| {
        let names = register.relationships.iter().flat_map(|known| {
            let source = (known.source == register.key).then_some(known.name.as_str());
            let target = (known.target == register.key).then_some(known.inverse_name.as_str());
            source.into_iter().chain(target)
        });
        let nearest = nearest(name, names);
        DataError::from(RelationError::NotFound {
            register: register.name.clone(),
            name: name.to_owned(),
            nearest,
        })
    })
}

/// A link that shall be there.
struct Wanted<'r> {
    relationship: &'r Relationship,
    source: Uuid,
    target: Uuid,
}

impl<'r> Wanted<'r> {
    fn along(path: Path<'r>, row_id: Uuid, other: Uuid) -> Self {
        let (source, target) = match path.direction {
            Direction::Forward => (row_id, other),
            Direction::Backward => (other, row_id),
        };
        Self {
            relationship: path.relationship,
            source,
            target,
        }
    }
}

/// The links that shall be there, each once.
fn wanted<'r>(
    register: &'r LoadedRegister,
    writes: &[LinkWrite],
) -> Result<Vec<Wanted<'r>>, DataError> {
    let mut wanted = Vec::new();
    for write in writes {
        let relationship = register
            .relationships
            .iter()
            .find(|known| known.key == write.relationship && known.source == register.key)
            .ok_or_else(|| DataError::corrupt("relationship", write.relationship))?;
        let targets: BTreeSet<Uuid> = write.targets.iter().copied().collect();
        let max = if relationship.cardinality.has_one_target() {
            1
        } else {
            REFERENCES_MAX
        };
        if targets.len() > max {
            return Err(DataError::from(RelationError::TooManyTargets {
                relationship: relationship.name.clone(),
                given: targets.len(),
                max,
            }));
        }
        wanted.extend(targets.into_iter().map(|target| Wanted {
            relationship,
            source: write.row_id,
            target,
        }));
    }
    Ok(wanted)
}

async fn remove_others(
    tx: &mut Transaction,
    writes: &[&LinkWrite],
) -> Result<Vec<LinkChange>, DataError> {
    let kept = || {
        writes.iter().flat_map(|write| {
            let targets = write.targets.iter();
            targets.map(move |target| (write.relationship.0, write.row_id, *target))
        })
    };
    let relationships: Vec<i64> = writes.iter().map(|write| write.relationship.0).collect();
    let sources: Vec<Uuid> = writes.iter().map(|write| write.row_id).collect();
    let removed = sqlx::query(REMOVE_OTHERS)
        .bind(relationships)
        .bind(sources)
        .bind(
            kept()
                .map(|(relationship, ..)| relationship)
                .collect::<Vec<i64>>(),
        )
        .bind(kept().map(|(_, source, _)| source).collect::<Vec<Uuid>>())
        .bind(kept().map(|(.., target)| target).collect::<Vec<Uuid>>())
        .fetch_all(tx.connection())
        .await?;
    read_changes(&removed)
}

async fn add(
    tx: &mut Transaction,
    tenant: Uuid,
    register: &LoadedRegister,
    wanted: &[Wanted<'_>],
) -> Result<Vec<LinkChange>, DataError> {
    let keys = |of: fn(&Relationship) -> i64| -> Vec<i64> {
        wanted.iter().map(|link| of(link.relationship)).collect()
    };
    let flags = |of: fn(&Relationship) -> bool| -> Vec<bool> {
        wanted.iter().map(|link| of(link.relationship)).collect()
    };
    let added = sqlx::query(ADD)
        .bind(tenant)
        .bind(keys(|relationship| relationship.key.0))
        .bind(keys(|relationship| relationship.source.0))
        .bind(wanted.iter().map(|link| link.source).collect::<Vec<Uuid>>())
        .bind(keys(|relationship| relationship.target.0))
        .bind(wanted.iter().map(|link| link.target).collect::<Vec<Uuid>>())
        .bind(flags(|relationship| {
            relationship.cardinality.has_one_target()
        }))
        .bind(flags(|relationship| {
            relationship.cardinality.has_one_source()
        }))
        .fetch_all(tx.connection())
        .await
        .map_err(|error| refused(wanted, error.into()))?;
    if added.len() < wanted.len() {
        // The others were there before, unless a row is not there.
        refuse_missing(tx, register, wanted).await?;
    }
    read_changes(&added)
}

fn read_changes(rows: &[sqlx::postgres::PgRow]) -> Result<Vec<LinkChange>, DataError> {
    rows.iter()
        .map(|row| {
            Ok(LinkChange {
                relationship: RelationshipKey(row.try_get("relationship_key")?),
                source: row.try_get("source_id")?,
                target: row.try_get("target_id")?,
            })
        })
        .collect()
}

async fn refuse_missing(
    tx: &mut Transaction,
    register: &LoadedRegister,
    wanted: &[Wanted<'_>],
) -> Result<(), DataError> {
    let ends = || {
        wanted.iter().flat_map(|link| {
            [
                (link.relationship.source.0, link.source),
                (link.relationship.target.0, link.target),
            ]
        })
    };
    let missing = sqlx::query(FIRST_MISSING)
        .bind(ends().map(|(register, _)| register).collect::<Vec<i64>>())
        .bind(ends().map(|(_, id)| id).collect::<Vec<Uuid>>())
        .fetch_optional(tx.connection())
        .await?;
    let Some(row) = missing else {
        return Ok(());
    };
    let key: i64 = row.try_get("register_key")?;
    let names = wanted.iter().flat_map(|link| {
        let relationship = link.relationship;
        [
            (relationship.source.0, &relationship.source_name),
            (relationship.target.0, &relationship.target_name),
        ]
    });
    let name = names.into_iter().find(|(known, _)| *known == key);
    Err(DataError::RowNotFound {
        register: name.map_or(&register.name, |(_, name)| name).clone(),
        id: RowId::from(row.try_get::<Uuid, _>("id")?),
    })
}

/// Names the relationship behind a constraint. The server does not say which link it was, so where
/// several could have been, all are named.
fn refused(wanted: &[Wanted<'_>], error: DbError) -> DataError {
    let named = |fits: fn(&Relationship) -> bool| {
        let names: BTreeSet<&str> = wanted
            .iter()
            .filter(|link| fits(link.relationship))
            .map(|link| link.relationship.name.as_str())
            .collect();
        names.into_iter().collect::<Vec<_>>().join("` or `")
    };
    let is_gone = error.sqlstate() == Some(FOREIGN_KEY);
    let constraint = match &error {
        DbError::AlreadyExists { constraint } => constraint.as_deref(),
        _ => None,
    };
    let refusal = match constraint {
        Some(ONE_TARGET) => RelationError::Cardinality {
            relationship: named(|relationship| relationship.cardinality.has_one_target()),
            is_target: false,
        },
        Some(ONE_SOURCE) => RelationError::Cardinality {
            relationship: named(|relationship| relationship.cardinality.has_one_source()),
            is_target: true,
        },
        _ if is_gone => RelationError::TargetGone {
            relationship: named(|_| true),
        },
        _ => return error.into(),
    };
    refusal.into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keys::RegisterKey;
    use crate::relationship::{Cardinality, OnDelete};

    fn register(cardinality: Cardinality) -> LoadedRegister {
        LoadedRegister {
            key: RegisterKey(1),
            name: "invoices".to_owned(),
            label: None,
            description: None,
            keeps_history: false,
            version: 1,
            fields: Vec::new(),
            relationships: vec![Relationship {
                key: RelationshipKey(5),
                name: "client".to_owned(),
                inverse_name: "invoices".to_owned(),
                source: RegisterKey(1),
                source_name: "invoices".to_owned(),
                target: RegisterKey(2),
                target_name: "clients".to_owned(),
                cardinality,
                on_delete: OnDelete::Restrict,
            }],
        }
    }

    fn to(targets: &[u128]) -> LinkWrite {
        LinkWrite {
            relationship: RelationshipKey(5),
            row_id: Uuid::from_u128(1),
            targets: targets.iter().copied().map(Uuid::from_u128).collect(),
            is_new: true,
        }
    }

    #[test]
    fn a_target_that_is_given_twice_is_linked_once() {
        let register = register(Cardinality::ManyToOne);
        assert_eq!(wanted(&register, &[to(&[7, 7])]).unwrap().len(), 1);
    }

    #[test]
    fn a_source_of_one_target_cannot_be_given_two() {
        let one = register(Cardinality::ManyToOne);
        let error = wanted(&one, &[to(&[7, 8])]).err().unwrap();
        assert!(matches!(
            error,
            DataError::Relation(RelationError::TooManyTargets {
                given: 2,
                max: 1,
                ..
            })
        ));
        let many = register(Cardinality::ManyToMany);
        assert_eq!(wanted(&many, &[to(&[7, 8])]).unwrap().len(), 2);
    }

    #[test]
    fn a_relationship_that_is_not_there_names_a_similar_one() {
        let register = register(Cardinality::ManyToOne);
        let error = find(&register, "clent").err().unwrap();
        assert!(error.to_string().contains("`client`"), "{error}");
    }

    #[test]
    fn a_link_goes_the_same_way_from_either_side() {
        let register = register(Cardinality::ManyToOne);
        let path = find(&register, "client").unwrap();
        let (one, two) = (Uuid::from_u128(1), Uuid::from_u128(2));
        let link = Wanted::along(path, one, two);
        assert_eq!((link.source, link.target), (one, two));
        let back = Path {
            direction: Direction::Backward,
            ..path
        };
        let link = Wanted::along(back, one, two);
        assert_eq!((link.source, link.target), (two, one));
    }
}
