// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! One context is enough.

use forktex::queue::prelude::*;
use serde::{Deserialize, Serialize};

#[derive(Job, Serialize, Deserialize)]
#[job("email.send")]
struct SendEmail {
    account: String,
}

#[job_handler]
async fn send_email(job: SendEmail, a: &JobContext, b: &JobContext) -> JobResult {
    let _ = (job, a, b);
    Ok(())
}

fn main() {}
