// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! One run: a process that streams an object up and down on one side, and tells its rates and its peak memory.

use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use forktex_storage::{Body, Storage, StorageConfig};
use futures_util::{StreamExt as _, TryStreamExt as _};
use object_store::aws::AmazonS3Builder;
use object_store::local::LocalFileSystem;
use object_store::path::Path;
use object_store::{ClientOptions, ObjectStore, ObjectStoreExt as _, WriteMultipart};
use url::Url;

use crate::source;

/// What a process is told: the side, the URL of the storage, and how many bytes.
const ORDERS: &str = "FORKTEX_BENCH_STORAGE_RUN";

const KEY: &str = "large.bin";
/// What ours has where nobody says otherwise.
const PART_BYTES: usize = 8 * 1024 * 1024;
const PARTS_PARALLEL: usize = 4;

/// Longer than any request.
const TIMEOUT: Duration = Duration::from_mins(5);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Side {
    Ours,
    Bare,
}

/// MiB a second, and MiB.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Measured {
    pub(crate) up: f64,
    pub(crate) down: f64,
    pub(crate) memory: f64,
}

/// What this process is told, if it is a run.
pub(crate) fn orders() -> Option<String> {
    std::env::var(ORDERS).ok()
}

/// Runs a side in a process of its own.
pub(crate) fn start(side: Side, url: &str, bytes: u64) -> Measured {
    let output = Command::new(std::env::current_exe().unwrap())
        .env(ORDERS, format!("{side:?} {bytes} {url}"))
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .output()
        .unwrap();
    assert!(output.status.success(), "a run failed");
    let text = String::from_utf8(output.stdout).unwrap();
    let numbers: Vec<f64> = text
        .split_whitespace()
        .map(|number| number.parse().unwrap())
        .collect();
    let [up, down, memory] = numbers[..] else {
        panic!("a run said `{text}`");
    };
    Measured { up, down, memory }
}

/// What a run does.
pub(crate) fn obey(orders: &str) {
    let mut words = orders.splitn(3, ' ');
    let side = words.next().unwrap();
    let bytes: u64 = words.next().unwrap().parse().unwrap();
    let url = words.next().unwrap();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .unwrap();
    let (up, down) = runtime.block_on(async {
        if side == "Ours" {
            ours(url, bytes).await
        } else {
            bare(url, bytes).await
        }
    });
    let rate = |time: Duration| mebibytes(bytes) / time.as_secs_f64();
    println!("{} {} {}", rate(up), rate(down), peak_memory());
}

async fn ours(url: &str, bytes: u64) -> (Duration, Duration) {
    let config = StorageConfig::from_url(url).unwrap();
    let storage = Storage::open(config.request_timeout(TIMEOUT))
        .await
        .unwrap();

    let start = Instant::now();
    let body = Body::stream(source::pieces(bytes));
    let stored = storage.put(KEY, body).await.unwrap();
    let up = start.elapsed();
    assert_eq!(stored.size, bytes);

    let start = Instant::now();
    let object = storage.get(KEY).await.unwrap();
    let mut pieces = std::pin::pin!(object.stream());
    let mut read = 0;
    while let Some(piece) = pieces.next().await {
        read += piece.unwrap().len() as u64;
    }
    let down = start.elapsed();
    assert_eq!(read, bytes);
    storage.delete(KEY).await.unwrap();
    (up, down)
}

/// The same by `object_store` alone, as a careful author would write it by hand.
async fn bare(url: &str, bytes: u64) -> (Duration, Duration) {
    let store = bare_store(url);
    let path = Path::from(KEY);

    let start = Instant::now();
    let upload = store.put_multipart(&path).await.unwrap();
    let mut writer = WriteMultipart::new_with_chunk_size(upload, PART_BYTES);
    let mut pieces = std::pin::pin!(source::pieces(bytes));
    while let Some(piece) = pieces.try_next().await.unwrap() {
        writer.wait_for_capacity(PARTS_PARALLEL).await.unwrap();
        writer.put(piece);
    }
    writer.finish().await.unwrap();
    let up = start.elapsed();

    let start = Instant::now();
    let mut pieces = store.get(&path).await.unwrap().into_stream();
    let mut read = 0;
    while let Some(piece) = pieces.try_next().await.unwrap() {
        read += piece.len() as u64;
    }
    let down = start.elapsed();
    assert_eq!(read, bytes);
    store.delete(&path).await.unwrap();
    (up, down)
}

fn bare_store(url: &str) -> Arc<dyn ObjectStore> {
    if let Some(folder) = url.strip_prefix("folder://") {
        std::fs::create_dir_all(folder).unwrap();
        let store = LocalFileSystem::new_with_prefix(folder).unwrap();
        // Ours has an object on the disk when it says that it is there.
        return Arc::new(store.with_fsync(true));
    }
    let url = Url::parse(url).unwrap();
    let endpoint = format!("http://{}:{}", url.host_str().unwrap(), url.port().unwrap());
    let store = AmazonS3Builder::new()
        .with_endpoint(endpoint)
        .with_bucket_name(url.path().trim_start_matches('/'))
        .with_region("us-east-1")
        .with_access_key_id(url.username())
        .with_secret_access_key(url.password().unwrap())
        .with_client_options(ClientOptions::new().with_timeout(TIMEOUT))
        .with_allow_http(true)
        .with_http_connector(Connector)
        .build();
    Arc::new(store.unwrap())
}

/// The client that `object_store` would build, but for TLS, which is not spoken here.
#[derive(Debug)]
struct Connector;

impl object_store::client::HttpConnector for Connector {
    fn connect(
        &self,
        _options: &ClientOptions,
    ) -> object_store::Result<object_store::client::HttpClient> {
        let roots = rustls::RootCertStore::empty();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let tls = rustls::ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        let client = reqwest::Client::builder()
            .tls_backend_preconfigured(tls)
            .http1_only()
            .no_proxy()
            .build()
            .unwrap();
        Ok(object_store::client::HttpClient::new(client))
    }
}

/// The most memory that this process ever had, in MiB.
fn peak_memory() -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))
        .expect("Linux tells it");
    let kibibytes: u32 = line.trim().trim_end_matches(" kB").trim().parse().unwrap();
    f64::from(kibibytes) / 1024.0
}

fn mebibytes(bytes: u64) -> f64 {
    f64::from(u32::try_from(bytes >> 20).unwrap())
}
