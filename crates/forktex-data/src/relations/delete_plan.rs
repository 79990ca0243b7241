// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! Plans what the deletion of some rows means: which rows go with them, which links are taken out, and
//! whether anything restricts it. It changes nothing, and knows no database: the links come from a
//! [`LinkSource`].
//!
//! It goes breadth-first, each row once, so that circles end; and it goes to the end before it judges, as
//! a row that restricts may itself be among those that are deleted.

use std::collections::{BTreeMap, BTreeSet};

use async_trait::async_trait;
use serde::Serialize;
use uuid::Uuid;

use crate::error::DataError;
use crate::keys::{RegisterKey, RelationshipKey};
use crate::limits::DELETE_ROWS_MAX;
use crate::relation_error::RelationError;
use crate::relationship::OnDelete;
use crate::row::RowId;

/// How many of the rows that restrict a deletion its plan lists; all are counted.
pub const RESTRICTIONS_LISTED_MAX: usize = 100;

/// What a deletion does, or would do.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct DeletePlan {
    /// The rows that are deleted, by register: those that were asked for, and those that cascade.
    pub deleted: Vec<PlannedRows>,
    /// The rows that stay and lose a link, by register.
    pub unlinked: Vec<PlannedRows>,
    /// The links that restrict it, the first 100. If there are any, nothing is deleted.
    pub restricted_by: Vec<Restriction>,
    /// How many links restrict it in all.
    pub restrictions: u64,
}

impl DeletePlan {
    /// Whether something restricts the deletion.
    pub fn is_restricted(&self) -> bool {
        self.restrictions > 0
    }

    /// How many rows are deleted in all.
    pub fn rows(&self) -> u64 {
        self.deleted.iter().map(|rows| rows.rows).sum()
    }
}

/// How many rows of one register.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct PlannedRows {
    /// The register.
    pub register: String,
    /// How many of its rows.
    pub rows: u64,
}

/// A row that stays and refers to one that would be deleted, by a relationship that restricts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Restriction {
    /// The register of the row that restricts.
    pub register: String,
    /// The row that restricts.
    pub row: RowId,
    /// The relationship, by its name in that register.
    pub relationship: String,
    /// The rows that lead there by cascades, from one that was to be deleted to the one that is referred
    /// to.
    pub path: Vec<PathStep>,
}

/// A row on the way of a cascade.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct PathStep {
    /// The register.
    pub register: String,
    /// The row.
    pub row: RowId,
}

/// A row of any register. Sorts by register, then by id: the order in which rows are locked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct RowRef {
    pub(crate) register: RegisterKey,
    pub(crate) id: Uuid,
}

/// A link to a row that is deleted.
#[derive(Clone, Debug)]
pub(crate) struct IncomingLink {
    pub(crate) relationship: RelationshipKey,
    pub(crate) source: RowRef,
    pub(crate) target: RowRef,
    pub(crate) on_delete: OnDelete,
    /// The relationship's name at the source.
    pub(crate) name: String,
    /// The name of the source's register.
    pub(crate) source_name: String,
}

/// Where a plan has the links from.
#[async_trait]
pub(crate) trait LinkSource: Send {
    /// Makes sure that no link to these rows is added while the plan is carried out, and gives those
    /// rows that are there. They come in order.
    async fn hold(&mut self, rows: &[RowRef]) -> Result<Vec<RowRef>, DataError>;

    /// The links to these rows, at most `links_max`.
    async fn links_to(
        &mut self,
        targets: &[RowRef],
        links_max: usize,
    ) -> Result<Vec<IncomingLink>, DataError>;
}

/// Everything that follows from a deletion.
#[derive(Debug, Default)]
pub(crate) struct Closure {
    /// The rows that are deleted.
    pub(crate) deleted: BTreeSet<RowRef>,
    /// The rows that stay and lose a link.
    pub(crate) unlinked: BTreeSet<RowRef>,
    /// The links from rows that stay which restrict it.
    restricting: Vec<IncomingLink>,
    /// For each row that cascades, the row by which it does.
    reached_by: BTreeMap<RowRef, RowRef>,
    names: BTreeMap<RegisterKey, String>,
}

/// Follows the links from the rows that are to be deleted.
///
/// # Errors
/// [`DataError::RowNotFound`] when one of the rows is not there, [`DataError::LimitReached`] beyond
/// 100,000 rows and links, and what the source of the links fails with.
pub(crate) async fn plan(
    source: &mut dyn LinkSource,
    register: RegisterKey,
    register_name: &str,
    ids: &[Uuid],
) -> Result<Closure, DataError> {
    let roots: BTreeSet<RowRef> = ids.iter().map(|id| RowRef { register, id: *id }).collect();
    let mut closure = Closure::default();
    closure.names.insert(register, register_name.to_owned());
    let mut pending = roots.clone();
    let mut links = Vec::new();
    // Each turn deletes rows that no turn before has deleted, and their number is bounded.
    while !pending.is_empty() {
        if closure.deleted.len() + pending.len() + links.len() > DELETE_ROWS_MAX {
            return Err(too_many());
        }
        let wanted: Vec<RowRef> = pending.into_iter().collect();
        let held = source.hold(&wanted).await?;
        let held_rows: BTreeSet<RowRef> = held.iter().copied().collect();
        let is_missing = |row: &&RowRef| roots.contains(row) && !held_rows.contains(row);
        if let Some(missing) = wanted.iter().find(is_missing) {
            return Err(DataError::RowNotFound {
                register: register_name.to_owned(),
                id: RowId::from(missing.id),
            });
        }
        closure.deleted.extend(held_rows);
        let left = DELETE_ROWS_MAX.saturating_sub(closure.deleted.len() + links.len());
        let found = source.links_to(&held, left + 1).await?;
        if found.len() > left {
            return Err(too_many());
        }
        pending = closure.follow(&found);
        links.extend(found);
    }
    closure.judge(links);
    Ok(closure)
}

fn too_many() -> DataError {
    DataError::LimitReached {
        what: "rows and links of one deletion",
        max: DELETE_ROWS_MAX,
    }
}

impl Closure {
    /// The rows that cascade by these links and were not reached before.
    fn follow(&mut self, links: &[IncomingLink]) -> BTreeSet<RowRef> {
        let mut reached = BTreeSet::new();
        for link in links {
            let names = self.names.entry(link.source.register);
            names.or_insert_with(|| link.source_name.clone());
            if link.on_delete == OnDelete::Cascade
                && !self.deleted.contains(&link.source)
                && reached.insert(link.source)
            {
                self.reached_by.insert(link.source, link.target);
            }
        }
        reached
    }

    /// Sorts the links whose sources stay: their deletion is what the others are about.
    fn judge(&mut self, links: Vec<IncomingLink>) {
        for link in links {
            if self.deleted.contains(&link.source) {
                continue;
            }
            match link.on_delete {
                OnDelete::Restrict => self.restricting.push(link),
                OnDelete::SetNull => {
                    self.unlinked.insert(link.source);
                }
                // It would have been deleted too, had it not gone meanwhile.
                OnDelete::Cascade => {}
            }
        }
        self.restricting
            .sort_by_key(|link| (link.source, link.relationship, link.target));
    }

    /// The plan as callers see it.
    pub(crate) fn summary(&self) -> DeletePlan {
        let listed = self.restricting.iter().take(RESTRICTIONS_LISTED_MAX);
        DeletePlan {
            deleted: self.count(&self.deleted),
            unlinked: self.count(&self.unlinked),
            restricted_by: listed.map(|link| self.restriction(link)).collect(),
            restrictions: u64::try_from(self.restricting.len()).unwrap_or(u64::MAX),
        }
    }

    /// Refuses the deletion if anything restricts it.
    pub(crate) fn check(&self, register: &str) -> Result<(), RelationError> {
        match self.restricting.first() {
            None => Ok(()),
            Some(link) => Err(RelationError::Restricted {
                register: register.to_owned(),
                first: Box::new(self.restriction(link)),
                count: u64::try_from(self.restricting.len()).unwrap_or(u64::MAX),
            }),
        }
    }

    fn count(&self, rows: &BTreeSet<RowRef>) -> Vec<PlannedRows> {
        let mut counts: BTreeMap<RegisterKey, u64> = BTreeMap::new();
        for row in rows {
            *counts.entry(row.register).or_default() += 1;
        }
        counts
            .into_iter()
            .map(|(register, rows)| PlannedRows {
                register: self.name(register),
                rows,
            })
            .collect()
    }

    fn restriction(&self, link: &IncomingLink) -> Restriction {
        let step = |row: RowRef| PathStep {
            register: self.name(row.register),
            row: RowId::from(row.id),
        };
        let mut path = vec![step(link.target)];
        let mut row = link.target;
        // A row is reached by one that was there before it, so that this ends.
        while let Some(before) = self.reached_by.get(&row) {
            path.push(step(*before));
            row = *before;
        }
        path.reverse();
        Restriction {
            register: link.source_name.clone(),
            row: RowId::from(link.source.id),
            relationship: link.name.clone(),
            path,
        }
    }

    fn name(&self, register: RegisterKey) -> String {
        self.names.get(&register).cloned().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests;
