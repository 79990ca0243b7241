// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! A router must be able to answer.

use forktex::flow::prelude::*;

#[derive(Route)]
enum Verdict {}

fn main() {}
