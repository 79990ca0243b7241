// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! All mistakes are reported together.

use forktex::cache::{Cache, cached};

#[cached(ttl = "0s", namespace = "user.", jitter = 2)]
fn user(redis: &Cache, id: u32) -> u32 {
    id
}

fn main() {}
