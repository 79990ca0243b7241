// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! A model names its types.

use forktex::db::Model;
use uuid::Uuid;

#[derive(Model)]
#[model(table = "shop.order")]
struct Order<T> {
    id: Uuid,
    field: T,
}

fn main() {}
