// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! The answers are known when the graph is.

use forktex::flow::prelude::*;

#[derive(Route)]
enum Verdict<T> {
    Failed,
    Healthy(T),
}

fn main() {}
