// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! An option of a field that does not exist.

use forktex::db::Model;
use uuid::Uuid;

#[derive(Model)]
#[model(table = "shop.order")]
struct Order {
    id: Uuid,
    #[model(encripted)]
    iban: String,
}

fn main() {}
