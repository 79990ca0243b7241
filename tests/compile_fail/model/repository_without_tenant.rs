// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! A plain transaction has no repository of a model whose rows belong to organisations.

use forktex::db::Model;
use forktex::db::Transaction;
use uuid::Uuid;

#[derive(Model)]
#[model(table = "shop.order", org_scoped)]
struct Order {
    id: Uuid,
    org_id: Uuid,
}

async fn forgets(tx: &mut Transaction) {
    tx.repository::<Order>();
}

fn main() {}
