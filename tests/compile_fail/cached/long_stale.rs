// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! A time has an end.

use forktex::cache::{Cache, cached};

#[cached(ttl = "5m", namespace = "user", stale = "9999d")]
async fn user(cache: &Cache, id: u32) -> u32 {
    id
}

fn main() {}
