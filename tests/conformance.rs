// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! What DESIGN 3.3 promises, held against a real Postgres: one test a case, named after it.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

#[path = "conformance/mail.rs"]
mod mail;
#[path = "conformance/stage.rs"]
mod stage;
#[path = "conformance/tale.rs"]
mod tale;
#[path = "conformance/world.rs"]
mod world;

#[path = "conformance/child.rs"]
mod child;

#[path = "conformance/durability.rs"]
mod durability;
#[path = "conformance/failure.rs"]
mod failure;
#[path = "conformance/graph.rs"]
mod graph;
#[path = "conformance/pipeline.rs"]
mod pipeline;

#[path = "conformance/children.rs"]
mod children;
#[path = "conformance/compensation.rs"]
mod compensation;
#[path = "conformance/control.rs"]
mod control;
#[path = "conformance/migrate.rs"]
mod migrate;
#[path = "conformance/moving.rs"]
mod moving;
#[path = "conformance/overtaken.rs"]
mod overtaken;
#[path = "conformance/signal.rs"]
mod signal;
#[path = "conformance/timer.rs"]
mod timer;
#[path = "conformance/transaction.rs"]
mod transaction;

#[path = "conformance/query.rs"]
mod query;
#[path = "conformance/reference.rs"]
mod reference;
#[path = "conformance/retention.rs"]
mod retention;
#[path = "conformance/runtime.rs"]
mod runtime;
#[path = "conformance/worker.rs"]
mod worker;

#[path = "conformance/clock.rs"]
mod clock;
#[path = "conformance/drift.rs"]
mod drift;
#[path = "conformance/driver.rs"]
mod driver;
#[path = "conformance/fairness.rs"]
mod fairness;
#[path = "conformance/in_memory.rs"]
mod in_memory;
#[path = "conformance/leader.rs"]
mod leader;
#[path = "conformance/outage.rs"]
mod outage;
#[path = "conformance/refusal.rs"]
mod refusal;

#[path = "conformance/schedule.rs"]
mod schedule;

#[path = "conformance/keys.rs"]
mod keys;
#[path = "conformance/moved.rs"]
mod moved;
#[path = "conformance/sealed.rs"]
mod sealed;
#[path = "conformance/vault.rs"]
mod vault;
