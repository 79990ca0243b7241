// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! A lease is not too short to be renewed.

use forktex::cache::{Cache, cached};

#[cached(ttl = "5m", namespace = "user", lease = "10ms")]
async fn user(cache: &Cache, id: u32) -> u32 {
    id
}

fn main() {}
