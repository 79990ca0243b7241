// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! What is to be known stands in the state.

use forktex::flow::prelude::*;

#[derive(Route)]
enum Verdict {
    Failed(String),
    Healthy,
}

fn main() {}
