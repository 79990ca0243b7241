// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! The nearest field is named.

use forktex::queue::prelude::*;
use serde::{Deserialize, Serialize};

#[derive(Job, Serialize, Deserialize)]
#[job("email.send", tenant = "acount", limit_key = "colour", concurrency = 1)]
struct SendEmail {
    account: String,
}

fn main() {}
