// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! What a private Postgres server may be told. It refuses settings that break its own isolation:
//! port, addresses and folders are not for the caller.

use std::path::PathBuf;

use crate::folder;

/// Options of [`Postgres::start`](crate::Postgres::start).
///
/// By default the server is quick and forgets: `fsync`, `synchronous_commit` and
/// `full_page_writes` are off, and its data lies in memory (`/dev/shm`, where that has 2 GiB free and
/// `TMPDIR` is not set). Data then survives a killed server, most often, but no measure of speed is
/// honest and no promise about crashes is tested. Use [`durable`](Self::durable) for benchmarks and
/// crash tests.
#[derive(Debug, Clone, Default)]
pub struct PostgresOptions {
    durable: bool,
    folder: Option<PathBuf>,
    settings: Vec<(String, String)>,
}

impl PostgresOptions {
    /// A quick server without durability, 300 connections and 128 MB of shared buffers.
    pub fn new() -> Self {
        Self::default()
    }

    /// Turns `fsync`, `synchronous_commit` and `full_page_writes` on, as in production, and keeps the
    /// data in the temporary folder, which is most often on disk.
    pub fn durable(mut self) -> Self {
        self.durable = true;
        self
    }

    /// Keeps the server's folder in `parent`. The server's account must be able to enter it.
    pub fn in_folder(mut self, parent: impl Into<PathBuf>) -> Self {
        self.folder = Some(parent.into());
        self
    }

    /// Sets a server setting, such as `("statement_timeout", "5s")`. Later ones win.
    pub fn setting(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.settings.push((name.into(), value.into()));
        self
    }

    /// Where the server's folder goes; `None` is the temporary folder.
    pub(super) fn parent_folder(&self) -> Option<PathBuf> {
        if self.folder.is_some() {
            return self.folder.clone();
        }
        // Who sets TMPDIR has chosen a place.
        let may_choose = !self.durable && std::env::var_os("TMPDIR").is_none();
        may_choose.then(folder::in_memory).flatten()
    }

    /// All settings in the order given to the server, the caller's last.
    pub(super) fn all_settings(&self) -> Vec<(String, String)> {
        let durability = if self.durable { "on" } else { "off" };
        let defaults = [
            ("fsync", durability),
            ("synchronous_commit", durability),
            ("full_page_writes", durability),
            ("max_connections", "300"),
            ("shared_buffers", "128MB"),
            ("timezone", "UTC"),
            ("log_timezone", "UTC"),
        ];
        defaults
            .into_iter()
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .chain(self.settings.iter().cloned())
            .collect()
    }
}
