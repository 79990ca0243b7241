// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! The options of a route.

use forktex::flow::prelude::*;

#[derive(Route)]
#[route(name = "x")]
enum Verdict {
    Failed,
}

fn main() {}
