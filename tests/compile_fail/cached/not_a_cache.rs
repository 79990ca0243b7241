// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! The cache is a cache.

use forktex::cache::cached;

#[cached(ttl = "5m", namespace = "user")]
async fn user(cache: &str, id: u32) -> u32 {
    id
}

fn main() {}
