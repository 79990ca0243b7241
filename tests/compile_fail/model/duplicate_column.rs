// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! Two fields cannot share a column.

use forktex::db::Model;
use uuid::Uuid;

#[derive(Model)]
#[model(table = "shop.order")]
struct Order {
    id: Uuid,
    #[model(column = "total")]
    amount: i64,
    total: i64,
}

fn main() {}
