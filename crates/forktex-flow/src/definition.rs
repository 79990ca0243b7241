// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! What a workflow is: its nodes, its edges, and what is bound to each node.
//!
//! The attributes and the plain builders end here. A declaration is not checked yet; that is
//! the compiler's, which finds every fault rather than the first.

pub mod binding;
pub mod config;
pub mod drawing;
pub mod graph;
pub mod pipeline;
pub mod retention;
pub mod route;
pub mod template;
pub mod topology;

use std::fmt;
use std::sync::Arc;

use crate::identifier::Version;
use crate::schedule::Schedule;
use crate::schedule::input::DeclaredSchedule;
use crate::state::State;
use crate::state::erased::StateCodec;
use binding::Binding;
use topology::Topology;

/// A workflow that is declared in code: a unit struct with `#[pipeline(..)]` or `#[graph(..)]`.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a workflow",
    label = "not a workflow",
    note = "write `#[pipeline(name = \"..\", version = 1, state = .., steps = [..])]` on a unit struct"
)]
pub trait Workflow: Send + Sync + 'static {
    /// The state of its runs.
    type State: State;

    /// Its name.
    const NAME: &'static str;

    /// Its version.
    const VERSION: Version;

    /// Builds its declaration.
    fn declare() -> Declaration;
}

/// A workflow as declared: topology, what is bound to the nodes, and the codec of its state.
#[derive(Clone)]
pub struct Declaration {
    pub(crate) name: String,
    pub(crate) version: Version,
    pub(crate) topology: Topology,
    /// One for each node of the topology, in its order.
    pub(crate) bindings: Vec<Binding>,
    pub(crate) codec: Arc<dyn StateCodec>,
    pub(crate) schedule: Option<DeclaredSchedule>,
}

impl Declaration {
    /// The name as declared.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The version as declared.
    pub fn version(&self) -> Version {
        self.version
    }

    /// When it starts by itself, if that was declared and is valid.
    pub fn schedule(&self) -> Option<&Schedule> {
        let declared = self.schedule.as_ref()?;
        declared.schedule.as_ref().ok()
    }

    /// The nodes and edges.
    pub fn topology(&self) -> &Topology {
        &self.topology
    }
}

impl fmt::Debug for Declaration {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Declaration")
            .field("name", &self.name)
            .field("version", &self.version)
            .field("topology", &self.topology)
            .finish_non_exhaustive()
    }
}
