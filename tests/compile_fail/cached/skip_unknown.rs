// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! What is left out is a parameter.

use forktex::cache::{Cache, cached};

#[cached(ttl = "5m", namespace = "user", skip(contxt))]
async fn user(cache: &Cache, id: u32, context: &str) -> u32 {
    id + context.len() as u32
}

fn main() {}
