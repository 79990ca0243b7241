// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! What of `self` counts must be said.

use forktex::cache::{Cache, cached};

struct Users {
    cache: Cache,
}

impl Users {
    #[cached(ttl = "5m", namespace = "user", cache = self.cache)]
    async fn user(&self, id: u32) -> u32 {
        id
    }
}

fn main() {}
