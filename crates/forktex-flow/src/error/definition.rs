// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! Why a workflow could not be defined, or removed, at run time.

use forktex_db::DbError;

use crate::definition::config::ConfigFault;
use crate::identifier::{InvalidName, Namespace, Version, WorkflowName};

/// Why a workflow could not be defined or removed, or a limit not be set. In every case nothing has
/// changed, but where the outcome of the database's commit is unknown.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DefinitionError {
    /// A name is not well formed.
    #[error(transparent)]
    Name(#[from] InvalidName),
    /// There is no namespace.
    #[error("cannot define workflow `{workflow}`: say for which namespace with `.namespace(..)`")]
    NoNamespace {
        /// The workflow.
        workflow: WorkflowName,
    },
    /// The version is 0.
    #[error("cannot define workflow `{workflow}`: the version must be 1 or more")]
    VersionZero {
        /// The workflow.
        workflow: WorkflowName,
    },
    /// The definition has faults; all that were found.
    #[error("cannot define workflow `{workflow}`: {}", list(.faults))]
    Invalid {
        /// The workflow.
        workflow: WorkflowName,
        /// What is wrong, and where.
        faults: Vec<ConfigFault>,
    },
    /// A workflow that is linked with this program has the name.
    #[error("cannot define workflow `{workflow}`: the platform has one of that name; take another")]
    OfThePlatform {
        /// The workflow.
        workflow: WorkflowName,
    },
    /// The version is defined otherwise.
    #[error(
        "cannot define workflow `{workflow}` version {version} of namespace `{namespace}`: it is \
         defined otherwise{difference}; define a new version"
    )]
    Conflict {
        /// The namespace.
        namespace: Namespace,
        /// The workflow.
        workflow: WorkflowName,
        /// The version.
        version: Version,
        /// Where the two differ first, in words.
        difference: String,
    },
    /// The namespace has as many definitions as it may.
    #[error(
        "cannot define workflow `{workflow}`: namespace `{namespace}` may have {max} definitions"
    )]
    TooMany {
        /// The namespace.
        namespace: Namespace,
        /// The workflow.
        workflow: WorkflowName,
        /// How many it may have.
        max: u64,
    },
    /// There are living runs of it.
    #[error(
        "cannot remove workflow `{workflow}` of namespace `{namespace}`: {active} of its runs live; \
         wait for them or cancel them"
    )]
    InUse {
        /// The namespace.
        namespace: Namespace,
        /// The workflow.
        workflow: WorkflowName,
        /// How many live.
        active: u64,
    },
    /// There is no such definition.
    #[error("there is no workflow `{workflow}` in namespace `{namespace}`")]
    NotFound {
        /// The namespace.
        namespace: Namespace,
        /// The workflow.
        workflow: WorkflowName,
    },
    /// The database failed.
    #[error("cannot define or remove a workflow, or set a limit: {0}")]
    Database(#[from] DbError),
}

fn list(faults: &[ConfigFault]) -> String {
    let faults: Vec<String> = faults.iter().map(ToString::to_string).collect();
    faults.join("; ")
}
