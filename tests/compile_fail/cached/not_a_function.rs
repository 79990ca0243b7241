// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! Functions are cached.

use forktex::cache::cached;

#[cached(ttl = "5m", namespace = "user")]
struct User;

fn main() {}
