// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! A table is named with its schema or alone.

use forktex::db::Model;
use uuid::Uuid;

#[derive(Model)]
#[model(table = "a.b.c")]
struct Order {
    id: Uuid,
}

fn main() {}
