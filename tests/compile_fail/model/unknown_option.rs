// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! An option that does not exist.

use forktex::db::Model;
use uuid::Uuid;

#[derive(Model)]
#[model(table = "shop.order", timestamp)]
struct Order {
    id: Uuid,
}

fn main() {}
