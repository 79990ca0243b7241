// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! The nearest option is named.

use forktex::flow::prelude::*;
use serde::{Deserialize, Serialize};

#[derive(Signal, Serialize, Deserialize)]
#[signal("email.verified", crat = ::forktex::flow)]
struct Verified {
    email: String,
}

fn main() {}
