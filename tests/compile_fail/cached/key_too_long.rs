// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! A key has a few parts.

use forktex::cache::{Cache, cached};

#[cached(ttl = "5m", namespace = "user")]
async fn user(cache: &Cache, a: u8, b: u8, c: u8, d: u8, e: u8, f: u8, g: u8, h: u8, i: u8) -> u8 {
    a + b + c + d + e + f + g + h + i
}

fn main() {}
