// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! A name that Postgres would cut is refused.

use forktex::db::Model;
use uuid::Uuid;

#[derive(Model)]
#[model(table = "shop.xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx")]
struct Order {
    id: Uuid,
}

fn main() {}
