// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! Background jobs for work that is short, idempotent and best effort.
//!
//! This crate is where a service will enqueue typed jobs on Redis, Postgres or in process, with
//! leases, retries, uniqueness, limits per key and dead letters. Work that must survive and resume
//! belongs in `forktex-flow`.
//!
//! **Status: no public items yet.** The README's table says what works today.
