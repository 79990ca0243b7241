// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! The name stands in parentheses.

use forktex::flow::prelude::*;
use serde::{Deserialize, Serialize};

#[derive(Signal, Serialize, Deserialize)]
#[signal = "email.verified"]
struct Verified {
    email: String,
}

fn main() {}
