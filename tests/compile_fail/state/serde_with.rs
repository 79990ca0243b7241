// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! A field is written by its type.

use forktex::flow::prelude::*;
use serde::{Deserialize, Serialize};

mod words {
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    pub fn serialize<S: Serializer>(value: &bool, to: S) -> Result<S::Ok, S::Error> {
        value.serialize(to)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<bool, D::Error> {
        bool::deserialize(from)
    }
}

#[derive(State, Clone, Serialize, Deserialize)]
struct Order {
    #[serde(with = "words")]
    paid: bool,
}

fn main() {}
