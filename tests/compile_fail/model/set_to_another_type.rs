// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! A column is given values of its own type.

use forktex::db::Model;
use uuid::Uuid;

#[derive(Model)]
#[model(table = "shop.order")]
struct Order {
    id: Uuid,
    number: i64,
    note: Option<String>,
}

fn main_filter() {
    let _ = Order::note().set(1);
}

fn main() {}
