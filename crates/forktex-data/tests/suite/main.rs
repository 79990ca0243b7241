// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! What forktex-data promises, against a real Postgres and as a role that row-level security binds. One
//! binary, since linking is what takes time.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod bad_input;
mod bound;
mod cascades;
mod cursors;
mod filters;
mod fixture;
mod import_export;
mod injection;
mod relations_computed;
mod rows;
mod schema;
mod tenant_walls;
mod type_change;
mod unique_and_index;
mod virtual_registers;
