// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! An option is given once.

use forktex::cache::{Cache, cached};

#[cached(ttl = "5m", namespace = "user", key = id, key = (id))]
async fn user(cache: &Cache, id: u32) -> u32 {
    id
}

fn main() {}
