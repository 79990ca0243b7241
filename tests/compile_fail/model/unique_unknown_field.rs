// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! What is unique is a field.

use forktex::db::Model;
use uuid::Uuid;

#[derive(Model)]
#[model(table = "shop.order", unique(numbr))]
struct Order {
    id: Uuid,
    number: i64,
}

fn main() {}
