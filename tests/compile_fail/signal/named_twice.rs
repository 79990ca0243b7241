// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! A signal has one name.

use forktex::flow::prelude::*;
use serde::{Deserialize, Serialize};

#[derive(Signal, Serialize, Deserialize)]
#[signal("email.verified")]
#[signal("email.confirmed")]
struct Verified {
    email: String,
}

fn main() {}
