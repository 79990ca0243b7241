// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! Versions count from one.

use forktex::cache::{Cache, cached};

#[cached(ttl = "5m", namespace = "user", version = 0)]
async fn user(cache: &Cache, id: u32) -> u32 {
    id
}

fn main() {}
