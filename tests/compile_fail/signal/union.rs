// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! A signal is no union.

use forktex::flow::prelude::*;


#[derive(Signal)]
#[signal("email.verified")]
union Verified {
    number: u64,
    float: f64,
}

fn main() {}
