// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! Workflows that are defined at run time, and what a namespace may use.

use std::time::Duration;

use async_trait::async_trait;
use forktex_db::{DbError, Transaction};
use serde_json::Value;
use time::OffsetDateTime;

use super::{NewRun, Started};
use crate::compile::CompiledWorkflow;
use crate::identifier::{DefinitionId, Namespace, Version, WorkflowName};

/// A definition as stored.
#[derive(Debug, Clone)]
pub(crate) struct StoredDefinition {
    pub(crate) definition_id: DefinitionId,
    pub(crate) namespace: Namespace,
    pub(crate) name: WorkflowName,
    pub(crate) version: Version,
    pub(crate) config: Value,
    pub(crate) revision: i64,
    pub(crate) is_removed: bool,
    pub(crate) created_at: OffsetDateTime,
}

/// What became of a definition.
#[derive(Debug, Clone)]
pub(crate) enum Defined {
    Created,
    /// It was there, with this config.
    Same,
    /// It is there with another one.
    Conflict {
        config: Value,
    },
    /// The namespace has as many as it may.
    TooMany {
        max: u64,
    },
}

/// What became of the wish to remove definitions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Undefined {
    Removed { versions: u64 },
    InUse { active: u64 },
    NotFound,
}

/// What a namespace may use at most.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct StoredLimits {
    pub(crate) max_active_runs: Option<u32>,
    pub(crate) starts_per_minute: Option<u32>,
    pub(crate) max_definitions: Option<u32>,
}

/// What became of a start that was looked at before.
#[derive(Debug, Clone)]
pub(crate) enum Guarded {
    Started(Started),
    /// The definition was removed meanwhile.
    Gone,
    /// As many runs of the namespace live as may.
    TooManyActive {
        max: u64,
    },
    /// As many were started within the last minute as may be.
    TooManyStarts {
        max: u64,
        retry_after: Duration,
    },
}

/// Definitions and limits of namespaces.
#[async_trait]
pub(crate) trait DefinitionStore {
    async fn define(
        &self,
        namespace: &Namespace,
        workflow: &CompiledWorkflow,
        config: &Value,
    ) -> Result<Defined, DbError>;

    async fn undefine(
        &self,
        namespace: &Namespace,
        name: &WorkflowName,
        version: Option<Version>,
    ) -> Result<Undefined, DbError>;

    async fn list_definitions(
        &self,
        namespace: &Namespace,
    ) -> Result<Vec<StoredDefinition>, DbError>;

    /// What changed after a revision, in order, up to `limit`.
    async fn definitions_since(
        &self,
        revision: i64,
        limit: u32,
    ) -> Result<Vec<StoredDefinition>, DbError>;

    /// The namespaces that have limits, and the last change of what is defined at run time by then.
    async fn limited_namespaces(&self) -> Result<(Vec<Namespace>, i64), DbError>;

    async fn set_limits(&self, namespace: &Namespace, limits: StoredLimits) -> Result<(), DbError>;

    /// Starts a run where its definition is still there, if it is one made at run time, and its
    /// namespace may have another.
    async fn start_guarded(&self, run: &NewRun, is_runtime: bool) -> Result<Guarded, DbError>;

    /// As [`start_guarded`](Self::start_guarded), as a part of the caller's transaction.
    async fn start_guarded_in(
        &self,
        transaction: &mut Transaction,
        run: &NewRun,
        is_runtime: bool,
    ) -> Result<Guarded, DbError>;
}
