// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! What forktex-db promises, against a real Postgres. One binary, since linking is what takes time.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

#[path = "db/cancellation.rs"]
mod cancellation;
#[path = "db/commit_outcome.rs"]
mod commit_outcome;
#[path = "db/connecting.rs"]
mod connecting;
#[path = "db/errors.rs"]
mod errors;
#[path = "db/filters.rs"]
mod filters;
#[path = "db/hooks.rs"]
mod hooks;
#[path = "db/kept_connections.rs"]
mod kept_connections;
#[path = "db/locks.rs"]
mod locks;
#[path = "db/migrations.rs"]
mod migrations;
#[path = "db/models.rs"]
mod models;
#[path = "db/pages.rs"]
mod pages;
#[path = "db/proxy.rs"]
mod proxy;
#[path = "db/repositories.rs"]
mod repositories;
#[path = "db/retries.rs"]
mod retries;
#[path = "db/schema_check.rs"]
mod schema_check;
#[path = "db/sealed.rs"]
mod sealed;
#[path = "db/setup.rs"]
mod setup;
#[path = "db/tenants.rs"]
mod tenants;
#[path = "db/transactions.rs"]
mod transactions;
#[path = "db/wire.rs"]
mod wire;
