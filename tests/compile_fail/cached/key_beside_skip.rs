// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! Either says what counts.

use forktex::cache::{Cache, cached};

#[cached(ttl = "5m", namespace = "user", key = id, skip(other))]
async fn user(cache: &Cache, id: u32, other: u32) -> u32 {
    id + other
}

fn main() {}
