// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! Durations have units.

use forktex::cache::{Cache, cached};

#[cached(ttl = "5m", namespace = "user", local = "5 minutes")]
async fn user(cache: &Cache, id: u32) -> u32 {
    id
}

fn main() {}
