// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! The words of `refresh`.

use forktex::cache::{Cache, cached};

#[cached(ttl = "5m", namespace = "user", stale = "1h", refresh = "inline")]
async fn user(cache: &Cache, id: u32) -> u32 {
    id
}

fn main() {}
