// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! A task cannot change what the caller has.

use forktex::cache::{Cache, cached};

#[cached(ttl = "5m", namespace = "user", stale = "1h", skip(count))]
async fn user(cache: &Cache, id: u32, count: &mut u32) -> u32 {
    *count += 1;
    id
}

fn main() {}
