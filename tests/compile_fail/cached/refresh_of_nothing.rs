// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! Something must be loaded anew.

use forktex::cache::{Cache, cached};

#[cached(ttl = "5m", namespace = "user", refresh = "in_line")]
async fn user(cache: &Cache, id: u32) -> u32 {
    id
}

fn main() {}
