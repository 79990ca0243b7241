// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! The catalogue: a cached read, and the writes that make it forget.

use forktex::cache::{Cache, cached};

use crate::shelf::{Product, Shelf, ShelfError};

/// A product of a shop.
///
/// It is kept for five minutes, and for an hour more where the shelf cannot be read. What is not there is
/// kept for ten seconds. Of all processes one reads the shelf; the others wait for it.
#[cached(
    ttl = "5m",
    namespace = "catalogue.product",
    version = 1,
    key = (shop, id),
    negative_ttl = "10s",
    stale_if_error = "1h",
    single_flight = "cluster",
    tags = ("shop:{shop}")
)]
pub(crate) async fn product(
    cache: &Cache,
    shelf: &Shelf,
    shop: u32,
    id: u32,
) -> Result<Option<Product>, ShelfError> {
    shelf.read(shop, id).await
}

/// Changes a price. First the shelf and then the cache: a read in between finds the old price and is
/// forgotten with it.
pub(crate) async fn set_price(
    cache: &Cache,
    shelf: &Shelf,
    shop: u32,
    id: u32,
    cents: u32,
) -> Result<(), Box<dyn std::error::Error>> {
    shelf.set_price(shop, id, cents)?;
    product::invalidate(cache, shop, id).await?;
    Ok(())
}

/// Lowers all prices of a shop. However many products are cached, one write forgets them.
pub(crate) async fn discount(
    cache: &Cache,
    shelf: &Shelf,
    shop: u32,
    percent: u32,
) -> Result<(), Box<dyn std::error::Error>> {
    shelf.discount(shop, percent)?;
    cache.invalidate_tag(&format!("shop:{shop}")).await?;
    Ok(())
}
