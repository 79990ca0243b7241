// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! What the queue promises, on each of its backends: one test a promise, named after it.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

#[path = "queue/stage.rs"]
#[macro_use]
mod stage;

#[cfg(feature = "apalis")]
#[path = "queue/apalis.rs"]
mod apalis;
#[path = "queue/control.rs"]
mod control;
#[path = "queue/cron.rs"]
mod cron;
#[path = "queue/drain.rs"]
mod drain;
#[path = "queue/fairness.rs"]
mod fairness;
#[path = "queue/inline.rs"]
mod inline;
#[path = "queue/inspect.rs"]
mod inspect;
#[path = "queue/lease.rs"]
mod lease;
#[path = "queue/limit.rs"]
mod limit;
#[path = "queue/linked.rs"]
mod linked;
#[path = "queue/order.rs"]
mod order;
#[cfg(feature = "postgres")]
#[path = "queue/postgres_server.rs"]
mod postgres_server;
#[cfg(feature = "postgres")]
#[path = "queue/postgres_statements.rs"]
mod postgres_statements;
#[cfg(feature = "postgres")]
#[path = "queue/postgres_transaction.rs"]
mod postgres_transaction;
#[path = "queue/put.rs"]
mod put;
#[cfg(feature = "redis")]
#[path = "queue/redis_cluster.rs"]
mod redis_cluster;
#[cfg(feature = "redis")]
#[path = "queue/redis_due.rs"]
mod redis_due;
#[cfg(feature = "redis")]
#[path = "queue/redis_server.rs"]
mod redis_server;
#[path = "queue/retry.rs"]
mod retry;
#[path = "queue/telemetry.rs"]
mod telemetry;
#[path = "queue/trace.rs"]
mod trace;
#[path = "queue/unique.rs"]
mod unique;
