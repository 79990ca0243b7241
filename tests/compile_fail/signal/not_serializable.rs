// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! A signal is serialised.

use forktex::flow::prelude::*;
use serde::Deserialize;

#[derive(Signal, Deserialize)]
#[signal("email.verified")]
struct Verified {
    email: String,
}

fn main() {}
