// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! A job is a struct or an enum.

use forktex::queue::prelude::*;

#[derive(Job)]
#[job("email.send")]
union SendEmail {
    account: u32,
    number: f32,
}

fn main() {}
