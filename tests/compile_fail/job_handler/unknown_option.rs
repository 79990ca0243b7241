// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! The one option is told.

use forktex::queue::prelude::*;
use serde::{Deserialize, Serialize};

#[derive(Job, Serialize, Deserialize)]
#[job("email.send")]
struct SendEmail {
    account: String,
}

#[job_handler(retries = 3)]
async fn send_email(job: SendEmail) -> JobResult {
    let _ = job;
    Ok(())
}

fn main() {}
