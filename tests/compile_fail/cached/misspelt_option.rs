// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! A misspelt option is told with the one that was meant.

use forktex::cache::{Cache, cached};

#[cached(ttl = "5m", namespace = "user", stal = "1h")]
async fn user(cache: &Cache, id: u32) -> u32 {
    id
}

fn main() {}
