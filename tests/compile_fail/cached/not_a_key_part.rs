// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! A part of a key is a text or a number.

use forktex::cache::{Cache, cached};

#[cached(ttl = "5m", namespace = "user")]
async fn user(cache: &Cache, id: f64) -> f64 {
    id
}

fn main() {}
