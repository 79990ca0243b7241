// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! An error says what went wrong.

use forktex::queue::prelude::*;
use serde::{Deserialize, Serialize};

#[derive(Job, Serialize, Deserialize)]
#[job("email.send")]
struct SendEmail {
    account: String,
}

struct Silent;

#[job_handler]
async fn send_email(job: SendEmail) -> Result<(), Silent> {
    let _ = job;
    Err(Silent)
}

fn main() {}
