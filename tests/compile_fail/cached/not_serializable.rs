// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! What is kept can be written.

use forktex::cache::{Cache, cached};

struct User;

#[cached(ttl = "5m", namespace = "user")]
async fn user(cache: &Cache, id: u32) -> User {
    let _ = id;
    User
}

fn main() {}
