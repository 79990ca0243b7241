// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! What a schedule puts in is the default.

use forktex::queue::prelude::*;
use serde::{Deserialize, Serialize};

#[derive(Job, Serialize, Deserialize)]
#[job("email.send", cron = "0 2 * * *")]
struct SendEmail {
    account: String,
}

fn main() {}
