// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! A model has named fields; a tuple struct has none.

use forktex::db::Model;

#[derive(Model)]
#[model(table = "shop.order")]
struct Order(u8);

fn main() {}
