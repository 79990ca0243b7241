// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! The SQL migrations of the ForkTex crates, as data: one constant per crate, oldest first.
//!
//! Each file names its tables with the crate's default schema (`forktex_flow.instance`), so that it
//! can be read and run as it is; `forktex_db::Migrator` puts another schema name in where a host asks
//! for one. This package holds no logic, and a migration that was released never changes.

/// One migration: its number, its name, and its SQL.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Source {
    /// Counts from 1 without gaps.
    pub version: u32,
    /// The file's name without its number.
    pub name: &'static str,
    /// The statements.
    pub sql: &'static str,
}

/// The schema `forktex_flow` of `forktex-flow`.
pub const FLOW: &[Source] = &[
    Source {
        version: 1,
        name: "foundation",
        sql: include_str!("../flow/0001_foundation.sql"),
    },
    Source {
        version: 2,
        name: "inbox",
        sql: include_str!("../flow/0002_inbox.sql"),
    },
    Source {
        version: 3,
        name: "schedules",
        sql: include_str!("../flow/0003_schedules.sql"),
    },
    Source {
        version: 4,
        name: "queries",
        sql: include_str!("../flow/0004_queries.sql"),
    },
    Source {
        version: 5,
        name: "runtime_definitions",
        sql: include_str!("../flow/0005_runtime_definitions.sql"),
    },
    Source {
        version: 6,
        name: "sealed_payloads",
        sql: include_str!("../flow/0006_sealed_payloads.sql"),
    },
    Source {
        version: 7,
        name: "moves",
        sql: include_str!("../flow/0007_moves.sql"),
    },
    Source {
        version: 8,
        name: "written_twice",
        sql: include_str!("../flow/0008_written_twice.sql"),
    },
    Source {
        version: 9,
        name: "fair_claims",
        sql: include_str!("../flow/0009_fair_claims.sql"),
    },
];

/// The schema `forktex_vault` of `forktex-vault`.
pub const VAULT: &[Source] = &[Source {
    version: 1,
    name: "foundation",
    sql: include_str!("../vault/0001_foundation.sql"),
}];

/// The schema `forktex_queue` of `forktex-queue`.
pub const QUEUE: &[Source] = &[Source {
    version: 1,
    name: "foundation",
    sql: include_str!("../queue/0001_foundation.sql"),
}];

/// The schema `forktex_data` of `forktex-data`.
pub const DATA: &[Source] = &[Source {
    version: 1,
    name: "foundation",
    sql: include_str!("../data/0001_foundation.sql"),
}];
