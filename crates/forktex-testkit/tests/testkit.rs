// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! The test kit's own tests, on real servers.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

#[path = "testkit/database.rs"]
mod database;
#[path = "testkit/faults.rs"]
mod faults;
#[path = "testkit/pooler.rs"]
mod pooler;
#[path = "testkit/proxy.rs"]
mod proxy;
#[cfg(feature = "redis")]
#[path = "testkit/redis.rs"]
mod redis;
#[cfg(feature = "s3")]
#[path = "testkit/s3.rs"]
mod s3;
#[path = "testkit/victim.rs"]
mod victim;
