// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! A task holds no references.

use forktex::cache::{Cache, cached};

#[cached(ttl = "5m", namespace = "user", stale = "1h", skip(name))]
async fn user(cache: &Cache, id: u32, name: Option<&str>) -> u32 {
    id + name.map_or(0, str::len) as u32
}

fn main() {}
