// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! A mixin takes no value.

use forktex::db::Model;
use uuid::Uuid;

#[derive(Model)]
#[model(table = "shop.order", versioned = true)]
struct Order {
    id: Uuid,
    version: i64,
}

fn main() {}
