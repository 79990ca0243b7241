// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! What forktex-cache promises, against a real Redis. One binary, since linking is what takes time.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

#[path = "cache/cached_calls.rs"]
mod cached_calls;
#[path = "cache/cached_flights.rs"]
mod cached_flights;
#[path = "cache/cached_outage.rs"]
mod cached_outage;
#[path = "cache/cached_refresh.rs"]
mod cached_refresh;
#[path = "cache/cluster.rs"]
mod cluster;
#[path = "cache/connecting.rs"]
mod connecting;
#[path = "cache/deletes.rs"]
mod deletes;
#[path = "cache/herd.rs"]
mod herd;
#[path = "cache/limiter_exact.rs"]
mod limiter_exact;
#[path = "cache/limiter_kinds.rs"]
mod limiter_kinds;
#[path = "cache/limiter_layer.rs"]
mod limiter_layer;
#[path = "cache/local_tier.rs"]
mod local_tier;
#[path = "cache/operations.rs"]
mod operations;
#[path = "cache/origin.rs"]
mod origin;
#[path = "cache/outage.rs"]
mod outage;
#[path = "cache/setup.rs"]
mod setup;
#[path = "cache/tags.rs"]
mod tags;
