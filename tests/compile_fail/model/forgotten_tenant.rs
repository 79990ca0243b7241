// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! A field `org_id` without the mixin is a tenant that was forgotten.

use forktex::db::Model;
use uuid::Uuid;

#[derive(Model)]
#[model(table = "shop.order")]
struct Order {
    id: Uuid,
    org_id: Uuid,
}

fn main() {}
