// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! A reference names a model.

use forktex::db::Model;
use uuid::Uuid;

#[derive(Model)]
#[model(table = "shop.order")]
struct Order {
    id: Uuid,
    #[model(references = Client)]
    client_id: Uuid,
}

struct Client;

fn main() {}
