// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! What comes first is a job.

use forktex::queue::prelude::*;
use serde::{Deserialize, Serialize};

#[derive(Job, Serialize, Deserialize)]
#[job("email.send")]
struct SendEmail {
    account: String,
}

#[job_handler]
async fn send_email(job: String) -> JobResult {
    let _ = job;
    Ok(())
}

fn main() {}
