// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! A field that is filled in is stored as it is.

use forktex::db::Model;
use uuid::Uuid;

#[derive(Model)]
#[model(table = "shop.order")]
struct Order {
    #[model(text)]
    id: Uuid,
}

fn main() {}
