// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! A job has no generics.

use forktex::queue::prelude::*;
use serde::{Deserialize, Serialize};

#[derive(Job, Serialize, Deserialize)]
#[job("email.send")]
struct SendEmail<T> {
    account: T,
}

fn main() {}
