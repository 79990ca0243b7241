// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! Redis caching for services: cached functions, namespaced keys and rate limits.
//!
//! This crate is where a service will declare `#[cached]` functions that load once for a thousand
//! callers, build keys that cannot collide, invalidate by tag, and limit rates exactly, on Redis
//! alone or on a cluster.
//!
//! **Status: no public items yet.** The README's table says what works today.
