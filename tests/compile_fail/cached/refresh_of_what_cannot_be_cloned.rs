// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! A task holds clones.

use forktex::cache::{Cache, cached};

struct Database;

#[cached(ttl = "5m", namespace = "user", stale = "1h", skip(database))]
async fn user(cache: &Cache, id: u32, database: &Database) -> u32 {
    let _ = database;
    id
}

fn main() {}
