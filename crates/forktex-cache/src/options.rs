// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! The settings of a cache.
//!
//! They hold no secret (the password is in the URL alone), so their `Debug` is safe to log.

use std::time::Duration;

use crate::error::CacheError;
use crate::namespace::name_fault;

/// The most connections of one cache.
const CONNECTIONS_MAX: usize = 256;

/// How to connect, and how much to take on.
///
/// # Examples
/// ```
/// use std::time::Duration;
/// use forktex_cache::CacheOptions;
///
/// let options = CacheOptions::new()
///     .prefix("billing")
///     .connections(8)
///     .command_timeout(Duration::from_millis(200));
/// # let _ = options;
/// ```
#[derive(Clone, Debug)]
#[must_use]
#[non_exhaustive]
pub struct CacheOptions {
    pub(crate) prefix: Option<String>,
    pub(crate) connections: usize,
    pub(crate) connect_timeout: Duration,
    pub(crate) command_timeout: Duration,
    pub(crate) value_bytes_max: usize,
    pub(crate) local_bytes_max: u64,
    pub(crate) outage_loads: usize,
    pub(crate) entries_max: usize,
}

impl Default for CacheOptions {
    fn default() -> Self {
        Self {
            prefix: None,
            connections: 4,
            connect_timeout: Duration::from_secs(5),
            command_timeout: Duration::from_millis(500),
            value_bytes_max: 8 * 1024 * 1024,
            local_bytes_max: 64 * 1024 * 1024,
            outage_loads: 16,
            entries_max: 100_000,
        }
    }
}

impl CacheOptions {
    /// The defaults: 4 connections, 5 seconds to connect, half a second for a command.
    pub fn new() -> Self {
        Self::default()
    }

    /// Begins every key, so that services can share one Redis: `billing:user.profile:42`. It follows the
    /// rules of a [`Namespace`](crate::Namespace)'s name. Default: none.
    pub fn prefix(mut self, prefix: impl Into<String>) -> Self {
        self.prefix = Some(prefix.into());
        self
    }

    /// How many connections to hold, on a cluster to each primary: 1 to 256. Default 4. A connection
    /// carries many commands at once.
    pub fn connections(mut self, count: usize) -> Self {
        self.connections = count;
        self
    }

    /// How long [`Cache::connect`](crate::Cache::connect) waits for all of its connections. Default 5
    /// seconds.
    pub fn connect_timeout(mut self, timeout: Duration) -> Self {
        self.connect_timeout = timeout;
        self
    }

    /// How long one command waits for its answer. Default 500 milliseconds. The pages of a delete by
    /// pattern are commands of their own.
    pub fn command_timeout(mut self, timeout: Duration) -> Self {
        self.command_timeout = timeout;
        self
    }

    /// The most bytes of one value, as it is stored. Default 8 MiB.
    pub fn value_bytes_max(mut self, bytes: usize) -> Self {
        self.value_bytes_max = bytes;
        self
    }

    /// The most bytes that cached functions with a local tier keep in this process, all together.
    /// Default 64 MiB; 0 turns the local tier off.
    pub fn local_bytes_max(mut self, bytes: u64) -> Self {
        self.local_bytes_max = bytes;
        self
    }

    /// How many loads of cached functions run at once in this process while Redis is out of reach, so
    /// that an outage of the cache does not become one of the database. Default 16; zero counts as one.
    pub fn outage_loads(mut self, count: usize) -> Self {
        self.outage_loads = count.max(1);
        self
    }

    /// The most entries of [`Cache::in_process`](crate::Cache::in_process). Default 100,000; zero counts
    /// as one. When there are more, the expired go first, and then the oldest.
    pub fn entries_max(mut self, count: usize) -> Self {
        self.entries_max = count.max(1);
        self
    }

    /// Checks what cannot be checked by type.
    pub(crate) fn check(&self) -> Result<(), CacheError> {
        if let Some(reason) = self.prefix.as_deref().and_then(name_fault) {
            return Err(CacheError::option("prefix", reason));
        }
        if !(1..=CONNECTIONS_MAX).contains(&self.connections) {
            return Err(CacheError::option("connections", "it must be 1 to 256"));
        }
        for (option, timeout) in [
            ("connect_timeout", self.connect_timeout),
            ("command_timeout", self.command_timeout),
        ] {
            // The driver takes zero for no limit at all.
            if timeout < Duration::from_millis(1) || timeout > Duration::from_hours(1) {
                return Err(CacheError::option(
                    option,
                    "it must be a millisecond to an hour",
                ));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_out_of_their_range_are_named() {
        let named = |options: CacheOptions| match options.check() {
            Err(CacheError::InvalidOption { option, .. }) => option,
            other => panic!("{other:?}"),
        };
        assert!(CacheOptions::new().check().is_ok());
        assert_eq!(named(CacheOptions::new().prefix("A b")), "prefix");
        assert_eq!(named(CacheOptions::new().prefix("")), "prefix");
        assert_eq!(named(CacheOptions::new().connections(0)), "connections");
        let zero = CacheOptions::new().command_timeout(Duration::ZERO);
        assert_eq!(named(zero), "command_timeout");
    }
}
