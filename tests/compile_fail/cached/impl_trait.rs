// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! What is kept has a name.

use forktex::cache::{Cache, cached};

#[cached(ttl = "5m", namespace = "user")]
async fn user(cache: &Cache, id: u32) -> impl Into<u64> {
    id
}

fn main() {}
