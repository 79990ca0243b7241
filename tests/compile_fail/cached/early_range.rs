// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! A factor is above zero.

use forktex::cache::{Cache, cached};

#[cached(ttl = "5m", namespace = "user", early = 0)]
async fn user(cache: &Cache, id: u32) -> u32 {
    id
}

fn main() {}
