// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! A model says where its rows are.

use forktex::db::Model;
use uuid::Uuid;

#[derive(Model)]
struct Order {
    id: Uuid,
}

fn main() {}
