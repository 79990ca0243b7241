// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! `append` keeps every item, which a set does not.

use forktex::flow::prelude::*;
use serde::{Deserialize, Serialize};

use std::collections::BTreeSet;

#[derive(State, Clone, Serialize, Deserialize)]
struct Order {
    #[reduce(append)]
    field: BTreeSet<String>,
}

fn main() {}
