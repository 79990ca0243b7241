// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! What stands for a database: slow, and it counts how often it is read.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, MutexGuard};
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// What the catalogue offers.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Product {
    pub(crate) name: String,
    pub(crate) cents: u32,
}

/// The shelf cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("the shelf cannot be used: a writer has failed")]
pub(crate) struct ShelfError;

/// By shop and number.
type Products = BTreeMap<(u32, u32), Product>;

/// The products of all shops.
pub(crate) struct Shelf {
    products: Mutex<Products>,
    reads: AtomicU32,
}

impl Shelf {
    /// Two shops with two products each.
    pub(crate) fn stocked() -> Self {
        let product = |name: &str, cents| Product {
            name: name.to_owned(),
            cents,
        };
        let products = [1, 2].into_iter().flat_map(|shop| {
            [
                ((shop, 7), product("a lamp", 1_000)),
                ((shop, 8), product("a chair", 2_000)),
            ]
        });
        Self {
            products: Mutex::new(products.collect()),
            reads: AtomicU32::new(0),
        }
    }

    /// How often it was read.
    pub(crate) fn reads(&self) -> u32 {
        self.reads.load(Ordering::Relaxed)
    }

    pub(crate) async fn read(&self, shop: u32, id: u32) -> Result<Option<Product>, ShelfError> {
        self.reads.fetch_add(1, Ordering::Relaxed);
        // As long as a query takes.
        tokio::time::sleep(Duration::from_millis(20)).await;
        Ok(self.products()?.get(&(shop, id)).cloned())
    }

    pub(crate) fn set_price(&self, shop: u32, id: u32, cents: u32) -> Result<(), ShelfError> {
        if let Some(product) = self.products()?.get_mut(&(shop, id)) {
            product.cents = cents;
        }
        Ok(())
    }

    pub(crate) fn discount(&self, shop: u32, percent: u32) -> Result<(), ShelfError> {
        for ((of, _), product) in self.products()?.iter_mut() {
            if *of == shop {
                product.cents -= product.cents * percent / 100;
            }
        }
        Ok(())
    }

    fn products(&self) -> Result<MutexGuard<'_, Products>, ShelfError> {
        self.products.lock().map_err(|_| ShelfError)
    }
}
