// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! The error takes one of the cache.

use forktex::cache::{Cache, cached};

#[cached(ttl = "5m", namespace = "user", fail_closed)]
async fn user(cache: &Cache, id: u32) -> Result<u32, String> {
    Ok(id)
}

fn main() {}
