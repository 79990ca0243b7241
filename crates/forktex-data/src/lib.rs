// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! Registers, fields and relations that tenants define at run time.
//!
//! This crate is where a service will let its users add fields: typed rows on Postgres with
//! constraints and indexes, and one query shape over stored, bound and virtual registers.
//!
//! **Status: no public items yet.** The README's table says what works today.
