// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! A reducer of one's own takes the existing value and the new one.

use forktex::flow::prelude::*;
use serde::{Deserialize, Serialize};

fn longer(existing: &str) -> String {
    existing.to_owned()
}

#[derive(State, Clone, Serialize, Deserialize)]
struct Order {
    #[reduce(with = longer)]
    name: String,
}

fn main() {}
