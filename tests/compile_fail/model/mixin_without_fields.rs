// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! A mixin has its fields in the struct.

use forktex::db::Model;
use uuid::Uuid;

#[derive(Model)]
#[model(table = "shop.order", timestamps, soft_delete)]
struct Order {
    id: Uuid,
}

fn main() {}
