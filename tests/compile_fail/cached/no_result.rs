// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! There is something to keep.

use forktex::cache::{Cache, cached};

#[cached(ttl = "5m", namespace = "user")]
async fn user(cache: &Cache, id: u32) {
    let _ = id;
}

fn main() {}
