// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! What forktex-storage promises of each backend: one suite, on memory, a folder, the S3 server of the test kit,
//! and the real endpoints of `FORKTEX_STORAGE_URLS` (URLs of a storage, comma separated; a run leaves nothing
//! there but what a failed test leaves).
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

#[macro_use]
#[path = "stage/each.rs"]
#[allow(
    unused_macros,
    reason = "each test program uses its own part of the stage"
)]
mod each;

#[path = "stage/client.rs"]
#[allow(dead_code, reason = "each test program uses its own part of the stage")]
mod client;
#[path = "stage/folder.rs"]
#[allow(dead_code, reason = "each test program uses its own part of the stage")]
mod folder;
#[path = "stage/place.rs"]
#[allow(dead_code, reason = "each test program uses its own part of the stage")]
mod place;

#[path = "suite/attributes.rs"]
mod attributes;
#[path = "suite/checksums.rs"]
mod checksums;
#[path = "suite/conditions.rs"]
mod conditions;
#[path = "suite/content.rs"]
mod content;
#[path = "suite/keys.rs"]
mod keys;
#[path = "suite/links.rs"]
mod links;
#[path = "suite/lists.rs"]
mod lists;
#[path = "suite/objects.rs"]
mod objects;
#[path = "suite/parts.rs"]
mod parts;
#[path = "suite/ranges.rs"]
mod ranges;
#[path = "suite/tenants.rs"]
mod tenants;
#[path = "suite/tickets.rs"]
mod tickets;
