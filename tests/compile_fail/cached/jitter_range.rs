// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! Jitter takes a share.

use forktex::cache::{Cache, cached};

#[cached(ttl = "5m", namespace = "user", jitter = 1.5)]
async fn user(cache: &Cache, id: u32) -> u32 {
    id
}

fn main() {}
