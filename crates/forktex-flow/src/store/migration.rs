// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! Runs that move to another version of their workflow, and how the shapes of states were deployed.

use std::collections::{BTreeSet, HashMap};

use async_trait::async_trait;
use forktex_db::DbError;
use time::OffsetDateTime;

use crate::identifier::{DefinitionId, InstanceId, Namespace, NodeName};
use crate::instance::journal::Move;

/// Runs of one definition, in the order of their identifiers.
#[derive(Debug, Clone)]
pub(crate) struct RunsOf {
    pub(crate) definition: DefinitionId,
    /// Only those of this namespace.
    pub(crate) namespace: Option<Namespace>,
    /// Only those that were accepted before this time.
    pub(crate) until: OffsetDateTime,
    /// The run after which the list begins.
    pub(crate) after: Option<InstanceId>,
    pub(crate) limit: u32,
}

/// A run that is to move, as it was looked at.
#[derive(Debug, Clone)]
pub(crate) struct RunMove {
    pub(crate) instance: InstanceId,
    /// The sequence of the last entry that was seen of it.
    pub(crate) last_sequence: i64,
    pub(crate) moved: Box<Move>,
    /// The stage that it is in after that; -1 where it is in none.
    pub(crate) stage: i32,
    pub(crate) current_nodes: Vec<NodeName>,
    /// Whether the definition that it moves to was made at run time, and may be removed.
    pub(crate) to_runtime: bool,
}

/// What became of a move.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Moved {
    Written,
    /// A worker has the run.
    Owned,
    /// The run has ended.
    Ended,
    /// Something was recorded of the run meanwhile, or it is of another definition.
    Changed,
    /// The definition that it was to move to is removed.
    DefinitionGone,
}

/// Moves of runs.
#[async_trait]
pub(crate) trait MigrationStore {
    /// The runs that live, and whether a worker has each.
    async fn runs_of(&self, runs: &RunsOf) -> Result<Vec<(InstanceId, bool)>, DbError>;

    /// Moves a run that nobody owns, and makes it ready, so that a worker of its new version finds out
    /// what it waits for.
    async fn migrate(&self, run: &RunMove) -> Result<Moved, DbError>;

    /// The shapes of the states of definitions as they were deployed, where that is known.
    async fn state_shapes(
        &self,
        definitions: &[DefinitionId],
    ) -> Result<HashMap<DefinitionId, BTreeSet<String>>, DbError>;
}
