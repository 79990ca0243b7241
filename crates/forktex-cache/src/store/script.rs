// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! Scripts that run on Redis, each under the name that Redis gave it.

use std::sync::OnceLock;

use fred::bytes_utils::Str;

/// A script in Lua: sent once, and run by its hash from then on.
///
/// All of its keys must be in one slot.
#[derive(Debug)]
pub(crate) struct Script {
    action: &'static str,
    source: &'static str,
    /// As the server told it; the same on every server.
    hash: OnceLock<Str>,
}

impl Script {
    /// A script with what it does, as errors say it: `read a value`.
    pub(crate) const fn new(action: &'static str, source: &'static str) -> Self {
        Self {
            action,
            source,
            hash: OnceLock::new(),
        }
    }

    pub(crate) fn action(&self) -> &'static str {
        self.action
    }

    pub(super) fn source(&self) -> &'static str {
        self.source
    }

    pub(super) fn hash(&self) -> Option<&Str> {
        self.hash.get()
    }

    pub(super) fn set_hash(&self, hash: String) -> &Str {
        // A copy: what the driver gives may hold on to all that it has read.
        self.hash.get_or_init(|| hash.into())
    }
}

/// Defines the scripts of this folder.
macro_rules! scripts {
    ($($(#[$doc:meta])* $name:ident = $action:literal, $file:literal;)+) => {$(
        $(#[$doc])*
        pub(super) static $name: Script =
            Script::new($action, include_str!(concat!("scripts/", $file, ".lua")));
    )+};
}

scripts! {
    SET = "store a value", "set";
    INCREMENT = "count", "increment";
    TAKE_LEASE = "take a lease", "take_lease";
    RENEW_LEASE = "renew a lease", "renew_lease";
    RELEASE_LEASE = "release a lease", "release_lease";
    FILL = "store a loaded value", "fill";
}
