// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! A catalogue whose reads are cached: one load for a hundred callers, and never an old price.
//!
//! `cached` plays it on a throwaway Redis, which it kills at the end: the catalogue still answers. To
//! copy: `catalogue`. What stands for a database is `shelf`.

mod catalogue;
mod shelf;

use std::error::Error;
use std::io::{self, Write as _};
use std::process::ExitCode;
use std::sync::Arc;

use forktex::cache::Cache;
use forktex_testkit::{Redis, RedisOptions};
use tracing_subscriber::EnvFilter;

use shelf::Shelf;

type Outcome<T = ()> = Result<T, Box<dyn Error>>;

#[tokio::main]
async fn main() -> ExitCode {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("off"));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(io::stderr)
        .init();
    match run().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(io::stderr(), "cached: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn run() -> Outcome {
    let redis = Redis::start(RedisOptions::new()).await?;
    let cache = Cache::connect(redis.url()).await?;
    let shelf = Arc::new(Shelf::stocked());

    herd(&cache, &shelf).await?;
    absent(&cache, &shelf).await?;
    changed(&cache, &shelf).await?;

    redis.kill().await?;
    let product = catalogue::product(&cache, &shelf, 1, 7).await?;
    check(
        product.is_some(),
        "without Redis the catalogue answers from the shelf",
    )?;
    cache.close().await;
    writeln!(io::stdout(), "cached: ok")?;
    Ok(())
}

/// A hundred callers at once, of a product that nobody has asked for yet.
async fn herd(cache: &Cache, shelf: &Arc<Shelf>) -> Outcome {
    let callers = (0..100).map(|_| {
        let (cache, shelf) = (cache.clone(), Arc::clone(shelf));
        tokio::spawn(async move { catalogue::product(&cache, &shelf, 1, 7).await })
    });
    let callers: Vec<_> = callers.collect();
    for caller in callers {
        check(caller.await??.is_some(), "each of them gets the product")?;
    }
    check(shelf.reads() == 1, "a hundred callers read the shelf once")
}

/// A product that is not there is remembered too, for a shorter time.
async fn absent(cache: &Cache, shelf: &Shelf) -> Outcome {
    let before = shelf.reads();
    for _ in 0..2 {
        let product = catalogue::product(cache, shelf, 1, 999).await?;
        check(product.is_none(), "product 999 is not there")?;
    }
    check(
        shelf.reads() == before + 1,
        "what is absent was sought once",
    )
}

/// A change of one product, and one of all products of a shop.
async fn changed(cache: &Cache, shelf: &Shelf) -> Outcome {
    let cents = async |shop, id| -> Outcome<u32> {
        let product = catalogue::product(cache, shelf, shop, id).await?;
        Ok(product.ok_or("there is no such product")?.cents)
    };
    check(cents(1, 7).await? == 1_000, "it costs 1,000 cents")?;
    catalogue::set_price(cache, shelf, 1, 7, 1_200).await?;
    check(cents(1, 7).await? == 1_200, "a new price is seen at once")?;

    check(cents(1, 8).await? == 2_000, "another costs 2,000 cents")?;
    check(
        cents(2, 7).await? == 1_000,
        "the other shop has prices of its own",
    )?;
    let before = shelf.reads();
    catalogue::discount(cache, shelf, 1, 50).await?;
    check(cents(1, 7).await? == 600, "half price")?;
    check(
        cents(1, 8).await? == 1_000,
        "and that of all products of the shop",
    )?;
    check(shelf.reads() == before + 2, "both were read again")?;
    check(cents(2, 7).await? == 1_000, "the other shop's prices stay")?;
    check(
        shelf.reads() == before + 2,
        "and its product is still cached",
    )
}

/// An example that shows something else than it says must fail.
fn check(holds: bool, what: &str) -> Outcome {
    if holds {
        return Ok(());
    }
    Err(format!("it does not hold that {what}").into())
}
