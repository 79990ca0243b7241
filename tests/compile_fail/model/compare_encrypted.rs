// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! Sealed values cannot be compared.

use forktex::db::Model;
use uuid::Uuid;

#[derive(Model)]
#[model(table = "shop.order")]
struct Order {
    id: Uuid,
    #[model(encrypted)]
    iban: String,
}

fn main_filter() {
    let _ = Order::iban().eq("DE01");
}

fn main() {}
