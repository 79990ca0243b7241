// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! Every option that is wrong is told at once.

use forktex::queue::prelude::*;
use serde::{Deserialize, Serialize};

#[derive(Job, Serialize, Deserialize)]
#[job(
    "email.send", queue = "e mail", max_attempts = 0, timeout = "0s", backoff = [], priority = 40000,
    unique = until_dawn, concurrency = 0, rate = "100 a minute",
)]
struct SendEmail {
    account: String,
}

fn main() {}
