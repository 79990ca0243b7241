// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! Row security keeps organisations apart, so there must be some.

use forktex::db::Model;
use uuid::Uuid;

#[derive(Model)]
#[model(table = "shop.order", row_security)]
struct Order {
    id: Uuid,
}

fn main() {}
