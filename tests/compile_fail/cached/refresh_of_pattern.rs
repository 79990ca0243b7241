// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! A task holds what has a name.

use forktex::cache::{Cache, cached};

#[cached(ttl = "5m", namespace = "user", early, key = ())]
async fn user(cache: &Cache, (org, id): (u32, u32)) -> u32 {
    org + id
}

fn main() {}
