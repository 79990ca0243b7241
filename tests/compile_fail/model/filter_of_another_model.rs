// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! A filter is on one model.

use forktex::db::Model;
use uuid::Uuid;

#[derive(Model)]
#[model(table = "shop.order")]
struct Order {
    id: Uuid,
    number: i64,
    note: Option<String>,
}

#[derive(Model)]
#[model(table = "shop.client")]
struct Client {
    id: Uuid,
    name: String,
}

fn main_filter() {
    let _ = Order::number().eq(1).and(Client::name().eq("a"));
}

fn main() {}
