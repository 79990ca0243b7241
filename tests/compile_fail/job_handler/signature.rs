// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! All that is wrong with a signature is told, and the whole as it should be.

use forktex::queue::prelude::*;
use serde::{Deserialize, Serialize};

#[derive(Job, Serialize, Deserialize)]
#[job("email.send")]
struct SendEmail {
    account: String,
}

#[job_handler]
fn send_email<T>(job: &SendEmail, ctx: JobContext, mailer: &String) {}

fn main() {}
