// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! Equal values are sealed differently.

use forktex::db::Model;
use uuid::Uuid;

#[derive(Model)]
#[model(table = "shop.order", unique(iban))]
struct Order {
    id: Uuid,
    #[model(encrypted)]
    iban: String,
}

fn main() {}
