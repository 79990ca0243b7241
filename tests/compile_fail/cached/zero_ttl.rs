// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! A value is fresh for some time.

use forktex::cache::{Cache, cached};

#[cached(ttl = "0s", namespace = "user")]
async fn user(cache: &Cache, id: u32) -> u32 {
    id
}

fn main() {}
