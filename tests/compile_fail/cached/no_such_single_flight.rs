// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! The words of `single_flight`.

use forktex::cache::{Cache, cached};

#[cached(ttl = "5m", namespace = "user", single_flight = "both")]
async fn user(cache: &Cache, id: u32) -> u32 {
    id
}

fn main() {}
