// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! Only a `Result` can say that loading failed.

use forktex::cache::{Cache, cached};

#[cached(ttl = "5m", namespace = "user", stale_if_error = "1m")]
async fn user(cache: &Cache, id: u32) -> u32 {
    id
}

fn main() {}
