// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! The struct has one option.

use forktex::flow::prelude::*;
use serde::{Deserialize, Serialize};

#[derive(State, Clone, Serialize, Deserialize)]
#[state(krate = ::forktex::flow)]
struct Order {
    paid: bool,
}

fn main() {}
