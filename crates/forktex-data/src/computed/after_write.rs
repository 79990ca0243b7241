// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! Follows a write to all that is computed from it, wave by wave: rows that changed, rows that read them,
//! rows that read those, until nothing changes. There is no circle among computed fields, so it ends.
//!
//! Races that are closed here:
//! - **Two writes to one rollup.** In each wave the rows are locked first and read after, each in a
//!   statement of its own. So the second transaction waits, and then sees what the first one wrote.
//! - **A new link while the row at its other end changes.** Neither transaction would see what the other
//!   one does: the link is not there yet for the one, the value not for the other. So both ends of a link
//!   that was added are held before anything is read: `FOR NO KEY UPDATE` where the row is brought up to
//!   date itself, so that two who link to it take turns, and `FOR SHARE` where it is only read.
//!
//! Two that meet from opposite ends, such as a client and its invoice, can still block each other; the
//! server ends one of them, which may be tried again.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use forktex_db::Transaction;
use forktex_db::sqlx;
use uuid::Uuid;

use super::rule::{self, Trigger};
use super::{COMPUTED_DEPTH_MAX, Cells, ChangedRow, queue};
use crate::catalog;
use crate::error::DataError;
use crate::keys::{FieldKey, RegisterKey, RelationshipKey};
use crate::register::LoadedRegister;
use crate::relationship::Direction;

/// The sources that are linked to some targets. $1: the relationship; $2: targets; $3: how many at most.
/// Index: `link_by_target`.
const SOURCES: &str = "\
SELECT DISTINCT source_id FROM forktex_data.link \
WHERE relationship_key = $1 AND target_id = ANY($2) LIMIT $3";

/// The targets that are linked to some sources. Index: the primary key.
const TARGETS: &str = "\
SELECT DISTINCT target_id FROM forktex_data.link \
WHERE relationship_key = $1 AND source_id = ANY($2) LIMIT $3";

/// Holds rows that are brought up to date. $1: the register; $2: ids. Locks: row FOR NO KEY UPDATE, in
/// key order. Index: the primary key.
const HOLD: &str = "\
SELECT id FROM forktex_data.row WHERE register_key = $1 AND id = ANY($2) \
ORDER BY id FOR NO KEY UPDATE";

/// Holds rows at the ends of links. $1: the register; $2: ids. Locks: row FOR SHARE, in key order. Index:
/// the primary key.
const HOLD_END: &str = "\
SELECT id FROM forktex_data.row WHERE register_key = $1 AND id = ANY($2) ORDER BY id FOR SHARE";

/// What a write changed in one register.
#[derive(Debug, Default)]
pub(super) struct Change {
    /// The rows whose value in a field differs.
    pub(super) values: BTreeMap<FieldKey, BTreeSet<Uuid>>,
    /// The rows that were archived or restored.
    archived: BTreeSet<Uuid>,
    /// The links that were added or taken out: source and target.
    links: BTreeMap<RelationshipKey, Vec<(Uuid, Uuid)>>,
}

impl Change {
    fn of(rows: &[ChangedRow]) -> Self {
        let mut change = Self::default();
        for row in rows {
            for field in row.changed_fields() {
                change.values.entry(field).or_default().insert(row.id);
            }
            if row.is_archive_change {
                change.archived.insert(row.id);
            }
            for link in &row.links {
                let links = change.links.entry(link.relationship).or_default();
                links.push((link.source, link.target));
            }
        }
        change
    }

    pub(super) fn is_empty(&self) -> bool {
        self.values.is_empty() && self.archived.is_empty() && self.links.is_empty()
    }

    /// The rows at both ends of the links, by register.
    fn ends(&self, register: &LoadedRegister) -> BTreeMap<RegisterKey, BTreeSet<Uuid>> {
        let mut ends: BTreeMap<RegisterKey, BTreeSet<Uuid>> = BTreeMap::new();
        for relationship in &register.relationships {
            let links = self.links.get(&relationship.key);
            for (source, target) in links.into_iter().flatten() {
                ends.entry(relationship.source).or_default().insert(*source);
                ends.entry(relationship.target).or_default().insert(*target);
            }
        }
        ends
    }

    /// The rows of the field's register that links of its relationship reach.
    fn linked(&self, trigger: &Trigger) -> impl Iterator<Item = Uuid> {
        let direction = trigger.direction;
        let links = self.links.get(&trigger.relationship);
        links
            .into_iter()
            .flatten()
            .map(move |(source, target)| match direction {
                Direction::Forward => *source,
                Direction::Backward => *target,
            })
    }

    /// The changed rows whose readers must follow.
    fn read_by(&self, trigger: &Trigger) -> Vec<Uuid> {
        if !trigger.reads_changed {
            return Vec::new();
        }
        let values = trigger.reads.and_then(|field| self.values.get(&field));
        let archived = trigger.is_rollup.then_some(&self.archived);
        let rows: BTreeSet<Uuid> = values
            .into_iter()
            .chain(archived)
            .flatten()
            .copied()
            .collect();
        rows.into_iter().collect()
    }
}

/// The rows of one register whose computed fields are to be brought up to date, with the fields.
pub(super) type Affected = BTreeMap<Uuid, BTreeSet<FieldKey>>;

/// Brings up to date what is computed from the rows that were written: up to `rows_max` rows here, the
/// rest is queued. Gives the cells of those rows of `register` that it changed.
///
/// The rows and their links must have been written before, and the registers of
/// [`registers_to_lock`](super::registers_to_lock) be held. No round trip where the register has no
/// relationships, one where nobody reads it; else three or more for each register that is reached.
///
/// # Errors
/// [`DataError::Db`] when the database refuses, among others with a conflict that may be tried again.
pub(crate) async fn after_write(
    tx: &mut Transaction,
    tenant: Uuid,
    register: &LoadedRegister,
    changed: &[ChangedRow],
    rows_max: usize,
) -> Result<BTreeMap<Uuid, Cells>, DataError> {
    let change = Change::of(changed);
    if register.relationships.is_empty() || change.is_empty() {
        return Ok(BTreeMap::new());
    }
    let triggers = rule::triggers(tx, register).await?;
    if triggers.is_empty() {
        return Ok(BTreeMap::new());
    }
    // The rows that were written are locked already.
    let written: BTreeSet<Uuid> = changed.iter().map(|row| row.id).collect();
    let mut ends = change.ends(register);
    if let Some(rows) = ends.get_mut(&register.key) {
        rows.retain(|row| !written.contains(row));
    }
    ends.retain(|_, rows| !rows.is_empty());

    let mut follower = Follower::new(tx, tenant, register.key, rows_max);
    follower.know(Arc::new(register.clone()));
    follower.triggers.insert(register.key, triggers.into());
    follower.ends = ends;
    follower.follow(register.key, change).await?;
    Ok(follower.rewritten)
}

/// Follows changes within one transaction.
pub(super) struct Follower<'t> {
    pub(super) tx: &'t mut Transaction,
    pub(super) tenant: Uuid,
    /// The register whose rewritten rows are wanted.
    pub(super) origin: RegisterKey,
    /// How many rows may still be brought up to date here.
    rows_left: usize,
    registers: BTreeMap<RegisterKey, Arc<LoadedRegister>>,
    triggers: BTreeMap<RegisterKey, Arc<[Trigger]>>,
    /// The rows at the ends of links that are to be held before anything is read.
    ends: BTreeMap<RegisterKey, BTreeSet<Uuid>>,
    /// The cells of rows of the origin that were changed.
    pub(super) rewritten: BTreeMap<Uuid, Cells>,
}

impl<'t> Follower<'t> {
    pub(super) fn new(
        tx: &'t mut Transaction,
        tenant: Uuid,
        origin: RegisterKey,
        rows_max: usize,
    ) -> Self {
        Self {
            tx,
            tenant,
            origin,
            rows_left: rows_max,
            registers: BTreeMap::new(),
            triggers: BTreeMap::new(),
            ends: BTreeMap::new(),
            rewritten: BTreeMap::new(),
        }
    }

    pub(super) fn know(&mut self, register: Arc<LoadedRegister>) {
        self.registers.insert(register.key, register);
    }

    /// The definition of a register, read once.
    pub(super) async fn register(
        &mut self,
        key: RegisterKey,
    ) -> Result<Arc<LoadedRegister>, DataError> {
        if let Some(register) = self.registers.get(&key) {
            return Ok(Arc::clone(register));
        }
        let loaded = catalog::load::by_key(self.tx, self.tenant, key).await?;
        let register = Arc::new(loaded);
        self.know(Arc::clone(&register));
        Ok(register)
    }

    /// Follows a change until nothing changes any more.
    pub(super) async fn follow(
        &mut self,
        register: RegisterKey,
        change: Change,
    ) -> Result<(), DataError> {
        let mut pending = BTreeMap::from([(register, change)]);
        // A value is changed last by its deepest input, and chains are bounded by the catalogue.
        for _ in 0..=COMPUTED_DEPTH_MAX {
            if pending.is_empty() {
                return Ok(());
            }
            let mut affected: BTreeMap<RegisterKey, Affected> = BTreeMap::new();
            for (register, change) in pending {
                self.reach(register, &change, &mut affected).await?;
            }
            self.hold(&affected).await?;
            pending = BTreeMap::new();
            for (register, rows) in affected {
                let change = self.refresh(register, &rows).await?;
                if !change.is_empty() {
                    pending.insert(register, change);
                }
            }
        }
        if pending.is_empty() {
            return Ok(());
        }
        // Only definitions that others than this crate wrote go in a circle.
        Err(DataError::corrupt("computed field of register", register))
    }

    /// Holds the rows of a wave in the order of their keys, those at the ends of links among them. One
    /// round trip for each register, and none where the refreshing of one register holds them all.
    async fn hold(&mut self, affected: &BTreeMap<RegisterKey, Affected>) -> Result<(), DataError> {
        let mut ends = std::mem::take(&mut self.ends);
        for (register, rows) in affected {
            if let Some(ends) = ends.get_mut(register) {
                ends.retain(|row| !rows.contains_key(row));
            }
        }
        ends.retain(|_, rows| !rows.is_empty());
        if ends.is_empty() && affected.len() < 2 {
            return Ok(());
        }
        let registers: BTreeSet<RegisterKey> =
            affected.keys().chain(ends.keys()).copied().collect();
        for register in registers {
            if let Some(rows) = affected.get(&register) {
                let ids: Vec<Uuid> = rows.keys().copied().collect();
                self.hold_by(HOLD, register, ids).await?;
            }
            if let Some(rows) = ends.remove(&register) {
                let ids: Vec<Uuid> = rows.into_iter().collect();
                self.hold_by(HOLD_END, register, ids).await?;
            }
        }
        Ok(())
    }

    async fn hold_by(
        &mut self,
        statement: &'static str,
        register: RegisterKey,
        ids: Vec<Uuid>,
    ) -> Result<(), DataError> {
        sqlx::query(statement)
            .bind(register.0)
            .bind(ids)
            .execute(self.tx.connection())
            .await?;
        Ok(())
    }

    /// Finds the rows that a change of a register reaches, and queues those that are too many.
    async fn reach(
        &mut self,
        register: RegisterKey,
        change: &Change,
        affected: &mut BTreeMap<RegisterKey, Affected>,
    ) -> Result<(), DataError> {
        let triggers = self.triggers_of(register).await?;
        for trigger in triggers.iter() {
            let mut rows: BTreeSet<Uuid> = change.linked(trigger).collect();
            let changed = change.read_by(trigger);
            if !changed.is_empty() {
                rows.extend(self.readers(trigger, &changed).await?);
            }
            if rows.is_empty() {
                continue;
            }
            let known = affected.get(&trigger.register);
            let is_new = |row: &&Uuid| known.is_none_or(|known| !known.contains_key(*row));
            let new = rows.iter().filter(is_new).count();
            if new > self.rows_left {
                self.defer(trigger, &rows).await?;
                continue;
            }
            self.rows_left -= new;
            let affected = affected.entry(trigger.register).or_default();
            for row in rows {
                affected.entry(row).or_default().insert(trigger.field);
            }
        }
        Ok(())
    }

    async fn triggers_of(&mut self, key: RegisterKey) -> Result<Arc<[Trigger]>, DataError> {
        if let Some(triggers) = self.triggers.get(&key) {
            return Ok(Arc::clone(triggers));
        }
        let register = self.register(key).await?;
        let triggers: Arc<[Trigger]> = rule::triggers(self.tx, &register).await?.into();
        self.triggers.insert(key, Arc::clone(&triggers));
        Ok(triggers)
    }

    /// The rows that read the changed ones. One more than may be listed in the queue, so that more are
    /// noticed.
    async fn readers(
        &mut self,
        trigger: &Trigger,
        changed: &[Uuid],
    ) -> Result<Vec<Uuid>, DataError> {
        let statement = match trigger.direction {
            Direction::Forward => SOURCES,
            Direction::Backward => TARGETS,
        };
        let rows = sqlx::query_scalar(statement)
            .bind(trigger.relationship.0)
            .bind(changed)
            .bind(i64::try_from(queue::LISTED_ROWS_MAX + 1).unwrap_or(i64::MAX))
            .fetch_all(self.tx.connection())
            .await?;
        Ok(rows)
    }

    async fn defer(&mut self, trigger: &Trigger, rows: &BTreeSet<Uuid>) -> Result<(), DataError> {
        let listed: Option<Vec<Uuid>> =
            (rows.len() <= queue::LISTED_ROWS_MAX).then(|| rows.iter().copied().collect());
        queue::defer(
            self.tx,
            self.tenant,
            trigger.register,
            trigger.field,
            listed.as_deref(),
        )
        .await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cell::Cell;
    use crate::computed::LinkChange;
    use crate::relationship::{Cardinality, OnDelete, Relationship};
    use crate::value::Value;

    fn trigger(direction: Direction, reads: Option<i64>, is_rollup: bool) -> Trigger {
        Trigger {
            register: RegisterKey(2),
            field: FieldKey(20),
            relationship: RelationshipKey(5),
            direction,
            reads_changed: true,
            reads: reads.map(FieldKey),
            is_rollup,
        }
    }

    fn id(number: u128) -> Uuid {
        Uuid::from_u128(number)
    }

    fn row(number: u128, before: i64, after: i64) -> ChangedRow {
        let cells = |value: i64| Cells::from([(FieldKey(10), Cell::from(Value::from(value)))]);
        ChangedRow {
            id: id(number),
            before: Some(cells(before)),
            after: Some(cells(after)),
            ..ChangedRow::of_links(Vec::new())
        }
    }

    #[test]
    fn only_readers_of_a_changed_value_follow() {
        let change = Change::of(&[row(1, 1, 2), row(2, 1, 1)]);
        let lookup = trigger(Direction::Forward, Some(10), false);
        assert_eq!(change.read_by(&lookup), [id(1)]);
        let other = trigger(Direction::Forward, Some(11), false);
        assert!(change.read_by(&other).is_empty());
        let elsewhere = Trigger {
            reads_changed: false,
            ..lookup
        };
        assert!(change.read_by(&elsewhere).is_empty());
        assert!(Change::of(&[row(2, 1, 1)]).is_empty());
    }

    #[test]
    fn an_archived_row_is_followed_by_rollups_alone() {
        let mut archived = row(1, 1, 1);
        archived.is_archive_change = true;
        let change = Change::of(&[archived]);
        assert_eq!(
            change.read_by(&trigger(Direction::Backward, None, true)),
            [id(1)]
        );
        assert!(
            change
                .read_by(&trigger(Direction::Forward, Some(10), false))
                .is_empty()
        );
    }

    #[test]
    fn both_ends_of_a_link_are_held() {
        let link = LinkChange {
            relationship: RelationshipKey(5),
            source: id(1),
            target: id(2),
        };
        let register = LoadedRegister {
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
                cardinality: Cardinality::ManyToOne,
                on_delete: OnDelete::Restrict,
            }],
        };
        let change = Change::of(&[ChangedRow::of_links(vec![link])]);
        let ends = change.ends(&register);
        assert_eq!(ends.get(&RegisterKey(1)), Some(&BTreeSet::from([id(1)])));
        assert_eq!(ends.get(&RegisterKey(2)), Some(&BTreeSet::from([id(2)])));
    }

    #[test]
    fn a_link_reaches_the_end_that_has_the_field() {
        let link = LinkChange {
            relationship: RelationshipKey(5),
            source: id(1),
            target: id(2),
        };
        let change = Change::of(&[ChangedRow::of_links(vec![link])]);
        let reached =
            |direction| -> Vec<Uuid> { change.linked(&trigger(direction, None, true)).collect() };
        assert_eq!(reached(Direction::Forward), [id(1)]);
        assert_eq!(reached(Direction::Backward), [id(2)]);
        let other = Trigger {
            relationship: RelationshipKey(6),
            ..trigger(Direction::Forward, None, true)
        };
        assert_eq!(change.linked(&other).count(), 0);
    }
}
