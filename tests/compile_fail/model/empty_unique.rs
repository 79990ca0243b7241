// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! Something must be unique.

use forktex::db::Model;
use uuid::Uuid;

#[derive(Model)]
#[model(table = "shop.order", unique())]
struct Order {
    id: Uuid,
}

fn main() {}
