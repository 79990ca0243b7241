// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! A reducer of one's own is a path.

use forktex::flow::prelude::*;
use serde::{Deserialize, Serialize};

#[derive(State, Clone, Serialize, Deserialize)]
struct Order {
    #[reduce(with)]
    paid: bool,
}

fn main() {}
