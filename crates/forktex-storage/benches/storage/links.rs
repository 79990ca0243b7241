// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! How many links one thread signs a second, with a client that refuses all connections: any request would be an
//! error.

use std::hint::black_box;
use std::time::{Duration, Instant};

use forktex_storage::{S3Config, S3Credentials, Storage, StorageConfig};
use forktex_testkit::figure::{Figure, median};

const ROUNDS: usize = 5;
const LINKS: u32 = 200_000;
/// Links a second on one core.
const BAR: f64 = 100_000.0;

/// The rate on one thread, against the bar of the design.
pub(crate) fn figure() -> Figure {
    eprintln!("bench storage: links, {ROUNDS} times {LINKS}");
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let rates = runtime.block_on(async {
        let storage = offline().await;
        let mut rates = Vec::new();
        for _ in 0..ROUNDS {
            let start = Instant::now();
            for number in 0..LINKS {
                let key = format!("invoices/2026/{number}.pdf");
                let link = storage
                    .signed_url(black_box(key))
                    .ttl(Duration::from_mins(15))
                    .await;
                black_box(link.unwrap());
            }
            rates.push(f64::from(LINKS) / start.elapsed().as_secs_f64());
        }
        rates
    });
    let value = median(rates);
    Figure {
        bench: "storage.signed_urls",
        value,
        unit: "links/s",
        baseline: BAR,
        ratio: value / BAR,
        bar: 1.0,
        at_most: false,
    }
}

async fn offline() -> Storage {
    let bucket = S3Config::new("invoices", "eu-central-1").credentials(S3Credentials::new(
        "AKIDEXAMPLE",
        "a secret of the benchmark",
    ));
    let config = StorageConfig::new(bucket).retry_attempts_max(0).offline();
    let storage = Storage::open(config).await.unwrap();
    // Else the rate would say nothing of the network.
    assert!(storage.head("a.txt").await.is_err());
    storage
}
