// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! A cached function is a plain one.

use forktex::cache::{Cache, cached};

#[cached(ttl = "5m", namespace = "user")]
async unsafe fn user(cache: &Cache, id: u32) -> u32 {
    id
}

fn main() {}
