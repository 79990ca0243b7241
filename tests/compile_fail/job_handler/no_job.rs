// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! The job comes first.

use forktex::queue::prelude::*;
use serde::{Deserialize, Serialize};

#[derive(Job, Serialize, Deserialize)]
#[job("email.send")]
struct SendEmail {
    account: String,
}

#[job_handler]
async fn send_email(ctx: &JobContext) -> JobResult {
    let _ = ctx;
    Ok(())
}

fn main() {}
