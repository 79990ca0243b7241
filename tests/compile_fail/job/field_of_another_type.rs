// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! A field that tells jobs apart is a text or a number.

use forktex::queue::prelude::*;
use serde::{Deserialize, Serialize};

#[derive(Job, Serialize, Deserialize)]
#[job("email.send", tenant = "accounts")]
struct SendEmail {
    accounts: Vec<String>,
}

fn main() {}
