// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! A model is a struct.

use forktex::db::Model;

#[derive(Model)]
#[model(table = "shop.order")]
enum Order {
    One,
}

fn main() {}
