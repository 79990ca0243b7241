// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! A command as it is sent.

use fred::types::{ClusterHash, CustomCommand, Value};
use fred::util::redis_keyslot;

/// A command with its arguments. On a cluster it goes where its first argument is, unless a slot is
/// given.
#[derive(Clone, Debug)]
pub(in crate::store) struct Command {
    name: &'static str,
    slot: Option<u16>,
    arguments: Vec<Value>,
}

impl Command {
    pub(in crate::store) fn new(name: &'static str) -> Self {
        Self::with_capacity(name, 0)
    }

    /// With room for so many arguments.
    pub(in crate::store) fn with_capacity(name: &'static str, arguments: usize) -> Self {
        Self {
            name,
            slot: None,
            arguments: Vec::with_capacity(arguments),
        }
    }

    pub(in crate::store) fn arg(mut self, argument: impl Into<Value>) -> Self {
        self.arguments.push(argument.into());
        self
    }

    pub(in crate::store) fn args(mut self, arguments: impl Iterator<Item = Value>) -> Self {
        self.arguments.extend(arguments);
        self
    }

    pub(in crate::store) fn slot(mut self, slot: Option<u16>) -> Self {
        self.slot = slot;
        self
    }

    /// The slot of a cluster that it goes to; `None` where any will do.
    pub(super) fn place(&self) -> Option<u16> {
        let first = || self.arguments.first().and_then(Value::as_bytes);
        self.slot.or_else(|| first().map(redis_keyslot))
    }

    /// As the driver takes it.
    pub(super) fn into_parts(self) -> (CustomCommand, Vec<Value>) {
        let hash = ClusterHash::from(self.slot);
        // None of them blocks its connection.
        let command = CustomCommand::new_static(self.name, hash, false);
        (command, self.arguments)
    }
}
