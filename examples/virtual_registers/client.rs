// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! What every source of this example has: clients with a country and a revenue.
//!
//! They are the same ones everywhere, so that the answers can be held against each other.

use serde::{Deserialize, Serialize};

/// A client as the API shows it.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct Client {
    pub(crate) id: i64,
    pub(crate) name: String,
    /// Not known of every client.
    pub(crate) country: Option<String>,
    pub(crate) revenue: i64,
}

/// How many there are.
pub(crate) const CLIENTS: i64 = 40;

/// All of them, with ties in the revenue and gaps in the country.
pub(crate) fn clients() -> Vec<Client> {
    (1..=CLIENTS).map(client).collect()
}

fn client(id: i64) -> Client {
    let country = match id % 4 {
        0 => None,
        1 => Some("AT"),
        2 => Some("CH"),
        _ => Some("DE"),
    };
    Client {
        id,
        name: format!("Client {id:02} of {}", country.unwrap_or("nowhere")),
        country: country.map(str::to_owned),
        revenue: id * 7 % 10 * 100,
    }
}
