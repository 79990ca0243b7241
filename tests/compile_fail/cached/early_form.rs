// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! `early` stands alone or has a number.

use forktex::cache::{Cache, cached};

#[cached(ttl = "5m", namespace = "user", early("x"))]
async fn user(cache: &Cache, id: u32) -> u32 {
    id
}

fn main() {}
