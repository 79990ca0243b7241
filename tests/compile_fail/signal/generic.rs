// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! A signal is no generic type.

use forktex::flow::prelude::*;
use serde::{Deserialize, Serialize};

#[derive(Signal, Serialize, Deserialize)]
#[signal("email.verified")]
struct Verified<T> {
    email: T,
}

fn main() {}
