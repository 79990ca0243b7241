// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! What is kept can be read.

use forktex::cache::{Cache, cached};

#[derive(serde::Serialize)]
struct User;

#[cached(ttl = "5m", namespace = "user")]
async fn user(cache: &Cache, id: u32) -> Option<User> {
    (id > 0).then_some(User)
}

fn main() {}
