// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! What servers refuse: links and forms that were changed, that are over, that are used in another way, and that ask
//! for what is not theirs. Said over HTTP, on the S3 server of the test kit and on the folder's router.
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

#[path = "refusals/forms.rs"]
mod forms;
#[path = "refusals/links.rs"]
mod links;
#[path = "refusals/tickets.rs"]
mod tickets;
#[path = "refusals/traversal.rs"]
mod traversal;
#[path = "refusals/uploads.rs"]
mod uploads;
