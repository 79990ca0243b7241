// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! The name is a string.

use forktex::flow::prelude::*;
use serde::{Deserialize, Serialize};

#[derive(Signal, Serialize, Deserialize)]
#[signal(name = "email.verified")]
struct Verified {
    email: String,
}

fn main() {}
