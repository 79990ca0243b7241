// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! A router answers with one of several.

use forktex::flow::prelude::*;

#[derive(Route)]
struct Verdict;

fn main() {}
