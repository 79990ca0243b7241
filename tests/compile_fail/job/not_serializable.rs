// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! A job is kept as JSON.

use forktex::queue::prelude::*;

#[derive(Job)]
#[job("email.send")]
struct SendEmail {
    account: String,
}

fn main() {}
