// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! How long a value is fresh must be said.

use forktex::cache::{Cache, cached};

#[cached(namespace = "user")]
async fn user(cache: &Cache, id: u32) -> u32 {
    id
}

fn main() {}
