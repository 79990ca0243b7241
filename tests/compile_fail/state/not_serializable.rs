// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! A state serialises.

use forktex::flow::prelude::*;
#[allow(unused_imports)]
use serde::{Deserialize, Serialize};

#[derive(State, Clone)]
struct Order {
    paid: bool,
}

fn main() {}
