// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! Workflows that are defined at run time, as JSON: the format, its bounds, and what a fault in it is.
#![doc = include_str!("../docs/runtime_definitions.md")]

use std::fmt;

use serde::{Deserialize, Serialize};

/// The most bytes of JSON that a definition may have.
pub const CONFIG_BYTES_MAX: usize = 256 * 1024;

/// The most nodes that a definition may have.
pub const CONFIG_NODES_MAX: usize = 200;

/// The most edges that a definition may have.
pub const CONFIG_EDGES_MAX: usize = 1_000;

/// The format as a JSON Schema (draft 2020-12), for editors and forms. It says what is well formed;
/// names of nodes and templates, and whether a graph can end, are checked by
/// [`Flow::define`](crate::Flow::define).
pub const SCHEMA: &str = include_str!("config/schema.json");

/// One thing that is wrong with a definition.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ConfigFault {
    /// A JSON pointer to where it is; empty for the whole.
    pub pointer: String,
    /// What is wrong, and what to write instead.
    pub message: String,
}

impl ConfigFault {
    pub(crate) fn new(pointer: impl Into<String>, message: impl Into<String>) -> Self {
        Self {
            pointer: pointer.into(),
            message: message.into(),
        }
    }
}

impl fmt::Display for ConfigFault {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let place = if self.pointer.is_empty() {
            "the definition"
        } else {
            &self.pointer
        };
        write!(formatter, "{place}: {}", self.message)
    }
}
