// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! A field that is filled in has the type that it is filled in with.

use forktex::db::Model;

#[derive(Model)]
#[model(table = "shop.order", versioned)]
struct Order {
    id: i64,
    version: u8,
}

fn main() {}
