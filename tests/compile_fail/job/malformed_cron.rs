// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! The cron expression is checked.

use forktex::queue::prelude::*;
use serde::{Deserialize, Serialize};

#[derive(Job, Serialize, Deserialize)]
#[job("email.send", cron = "0 2 * *", timezone = "Europe/Berlim")]
struct SendEmail {
    account: String,
}

fn main() {}
