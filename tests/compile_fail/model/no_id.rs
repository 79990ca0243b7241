// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! A model has an id.

use forktex::db::Model;

#[derive(Model)]
#[model(table = "shop.order")]
struct Order {
    number: i64,
}

fn main() {}
