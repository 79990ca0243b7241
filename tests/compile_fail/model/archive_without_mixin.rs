// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! Only a model with `soft_delete` has an archive.

use forktex::db::Model;
use forktex::db::Repository;
use uuid::Uuid;

#[derive(Model)]
#[model(table = "shop.order")]
struct Order {
    id: Uuid,
    number: i64,
    note: Option<String>,
}

async fn archives(mut orders: Repository<'_, Order>, id: Uuid) {
    let _ = orders.archive(id).await;
}

fn main() {}
