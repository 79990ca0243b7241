// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! What a private Redis server may be told.

/// Options of [`Redis::start`](crate::Redis::start). By default nothing is written to disk.
#[derive(Debug, Clone, Default)]
pub struct RedisOptions {
    pub(super) durable: bool,
    pub(super) settings: Vec<(String, String)>,
}

impl RedisOptions {
    /// A server that keeps everything in memory.
    pub fn new() -> Self {
        Self::default()
    }

    /// Writes and syncs each change before it is answered (`appendfsync always`), so that data
    /// survives a [`kill`](crate::Redis::kill).
    pub fn durable(mut self) -> Self {
        self.durable = true;
        self
    }

    /// Sets a directive of the server, such as `("maxmemory", "10mb")`. Later ones win.
    pub fn setting(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.settings.push((name.into(), value.into()));
        self
    }

    /// All directives in the order given to the server, the caller's last.
    pub(super) fn all_settings(&self) -> Vec<(String, String)> {
        let appended = if self.durable { "yes" } else { "no" };
        let defaults = [
            ("save", ""),
            ("appendonly", appended),
            ("appendfsync", "always"),
        ];
        defaults
            .into_iter()
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .chain(self.settings.iter().cloned())
            .collect()
    }
}
