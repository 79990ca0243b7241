// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! Only an `Option` can say that there is nothing.

use forktex::cache::{Cache, cached};

#[cached(ttl = "5m", namespace = "user", negative_ttl = "1m")]
async fn user(cache: &Cache, id: u32) -> u32 {
    id
}

fn main() {}
