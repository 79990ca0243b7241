// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! A cached function is async.

use forktex::cache::{Cache, cached};

#[cached(ttl = "5m", namespace = "user")]
fn user(cache: &Cache, id: u32) -> u32 {
    id
}

fn main() {}
