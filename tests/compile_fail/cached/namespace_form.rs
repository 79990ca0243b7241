// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! A namespace follows its rules.

use forktex::cache::{Cache, cached};

#[cached(ttl = "5m", namespace = "User profile")]
async fn user(cache: &Cache, id: u32) -> u32 {
    id
}

fn main() {}
