// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! The cache is found by its name.

use forktex::cache::{Cache, cached};

#[cached(ttl = "5m", namespace = "user")]
async fn user(redis: &Cache, id: u32) -> u32 {
    id
}

fn main() {}
