// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! Keys begin with a namespace.

use forktex::cache::{Cache, cached};

#[cached(ttl = "5m")]
async fn user(cache: &Cache, id: u32) -> u32 {
    id
}

fn main() {}
