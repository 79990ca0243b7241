// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! A fn without the attribute is no handler.

use forktex::queue::prelude::*;
use serde::{Deserialize, Serialize};

#[derive(Job, Serialize, Deserialize)]
#[job("email.send")]
struct SendEmail {
    account: String,
}

async fn send_email(job: SendEmail) -> JobResult {
    let _ = job;
    Ok(())
}

struct Other;

fn worker(queue: &Queue) -> Worker {
    Worker::new(queue).handler::<Other>()
}

fn main() {}
