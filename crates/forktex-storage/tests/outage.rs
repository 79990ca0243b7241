// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! A server that is overloaded, slow, silent or gone, and an upload that nobody waits for any more.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

#[path = "suite/content.rs"]
#[allow(dead_code, reason = "each test program uses its own part of it")]
mod content;
#[path = "stage/folder.rs"]
#[allow(dead_code, reason = "each test program uses its own part of the stage")]
mod folder;
#[path = "stage/place.rs"]
#[allow(dead_code, reason = "each test program uses its own part of the stage")]
mod place;

use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use forktex_storage::{
    Body, S3Config, Sha256Digest, Storage, StorageConfig, StorageError, StorageErrorKind,
};
use forktex_testkit::{Proxy, S3};
use futures_util::{StreamExt as _, stream};
use tokio::net::TcpListener;
use tokio::sync::Notify;

use crate::folder::files_below;
use crate::place::{PART_BYTES, Place};

const BUCKET: &str = "pictures";

/// How long a call may take in which a server is given two short tries.
const BOUND: Duration = Duration::from_secs(20);

/// How long a thing may take that happens in the background.
const PATIENCE: Duration = Duration::from_secs(20);

async fn server() -> S3 {
    let server = S3::start().await.unwrap();
    server.create_bucket(BUCKET).await.unwrap();
    server
}

/// With two more tries, by a way that may be another one than the server's own address. Here parts are sent, so
/// that a request may take what a busy machine takes for it.
async fn open(server: &S3, endpoint: &str) -> Storage {
    open_bucket(place::s3_bucket(server, endpoint, BUCKET)).await
}

async fn open_bucket(bucket: S3Config) -> Storage {
    let config = StorageConfig::new(bucket)
        .part_size(PART_BYTES)
        .parallel_parts(2)
        .retry_attempts_max(2);
    Storage::open(config).await.unwrap()
}

/// The same with little patience, for a server that nobody hears of.
async fn open_impatient(endpoint: &str) -> Storage {
    let bucket = S3Config::minio(endpoint, BUCKET, "key", "secret");
    let config = StorageConfig::new(bucket)
        .request_timeout(Duration::from_millis(500))
        .connect_timeout(Duration::from_millis(500))
        .retry_attempts_max(2)
        .retry_time_max(Duration::from_secs(5));
    Storage::open(config).await.unwrap()
}

/// The outcome, which must come within the bound.
async fn within_bound<T>(call: impl Future<Output = T>) -> T {
    tokio::time::timeout(BOUND, call)
        .await
        .expect("an end within the bound")
}

fn assert_unavailable<T>(outcome: Result<T, StorageError>) {
    let error = outcome.map(drop).unwrap_err();
    assert_eq!(error.kind(), StorageErrorKind::Unavailable, "{error}");
    assert!(error.is_transient());
}

async fn wait_until(what: &str, mut condition: impl AsyncFnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !condition().await {
        assert!(Instant::now() < deadline, "{what} did not happen in time");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test]
async fn a_server_that_asks_for_patience_is_asked_again() {
    let server = server().await;
    let storage = open(&server, server.endpoint()).await;
    server.slow_down(2);
    let before = server.requests();
    storage.put("a.txt", "hello").await.unwrap();
    assert_eq!(server.requests() - before, 3);

    server.slow_down(2);
    let object = storage.get("a.txt").await.unwrap();
    assert_eq!(object.bytes().await.unwrap(), "hello");
    server.slow_down(1);
    assert!(storage.exists("a.txt").await.unwrap());
    server.slow_down(1);
    assert_eq!(storage.list("").page().await.unwrap().objects.len(), 1);
    server.slow_down(1);
    storage.copy("a.txt", "b.txt").await.unwrap();
    server.slow_down(1);
    storage.delete_many(["a.txt", "b.txt"]).await.unwrap();
    assert!(!storage.exists("a.txt").await.unwrap());
}

#[tokio::test]
async fn each_part_of_an_upload_may_be_sent_again() {
    let server = server().await;
    let storage = open(&server, server.endpoint()).await;
    let whole = content::bytes(3 * PART_BYTES + 7);
    let mut upload = storage.upload("long.bin").start().await.unwrap();
    for start in (0..whole.len()).step_by(PART_BYTES) {
        server.slow_down(1);
        let end = (start + PART_BYTES).min(whole.len());
        upload.write(whole.slice(start..end)).await.unwrap();
    }
    server.slow_down(1);
    let stored = upload.finish().await.unwrap();
    assert_eq!(stored.sha256, Sha256Digest::of(&whole));
    let object = storage.get("long.bin").await.unwrap();
    assert_eq!(object.bytes().await.unwrap(), whole);
}

#[tokio::test]
async fn patience_with_an_overloaded_server_ends() {
    let server = server().await;
    let storage = open(&server, server.endpoint()).await;
    storage.put("a.txt", "hello").await.unwrap();
    server.slow_down(u64::MAX);
    let before = server.requests();
    assert_unavailable(within_bound(storage.get("a.txt").into_future()).await);
    assert_eq!(server.requests() - before, 3, "one try, and two more");
    assert_unavailable(within_bound(storage.put("b.txt", "x").into_future()).await);
    assert_unavailable(within_bound(storage.head("a.txt")).await);
    assert_unavailable(within_bound(storage.list("").page()).await);
    assert_unavailable(within_bound(storage.delete("a.txt")).await);
    server.slow_down(0);
    assert!(storage.exists("a.txt").await.unwrap());
    assert!(!storage.exists("b.txt").await.unwrap());
}

#[tokio::test]
async fn what_is_wrong_is_not_tried_again() {
    let server = server().await;
    let storage = open(&server, server.endpoint()).await;
    let before = server.requests();
    let error = storage.get("none").await.map(drop).unwrap_err();
    assert!(error.is_not_found(), "{error}");
    assert_eq!(server.requests() - before, 1);

    let stranger = S3Config::minio(server.endpoint(), BUCKET, server.access_key(), "wrong");
    let stranger = open_bucket(stranger).await;
    let before = server.requests();
    let error = stranger.get("none").await.map(drop).unwrap_err();
    assert_eq!(error.kind(), StorageErrorKind::Denied, "{error}");
    assert!(!error.is_transient());
    assert_eq!(server.requests() - before, 1);
    let mut told = format!("{error:?}");
    let mut source = std::error::Error::source(&error);
    while let Some(cause) = source {
        told.push_str(&cause.to_string());
        source = cause.source();
    }
    assert!(
        !told.contains(server.secret_key()) && !told.contains("Signature="),
        "{told}"
    );
}

#[tokio::test]
async fn a_server_that_is_gone_is_unavailable() {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let endpoint = format!("http://{address}");
    let storage = open_impatient(&endpoint).await;
    assert_unavailable(within_bound(storage.get("a.txt").into_future()).await);
    assert_unavailable(within_bound(storage.put("a.txt", "x").into_future()).await);
}

#[tokio::test]
async fn a_server_that_never_answers_is_unavailable() {
    // Connections are taken by the system, and nobody reads what they bring.
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    let storage = open_impatient(&endpoint).await;
    assert_unavailable(within_bound(storage.get("a.txt").into_future()).await);
    assert_unavailable(within_bound(storage.head("a.txt")).await);
    assert_unavailable(within_bound(storage.put("a.txt", "x").into_future()).await);
}

#[tokio::test]
async fn a_read_that_is_cut_ends_whole_or_with_an_error() {
    let server = server().await;
    let proxy = Proxy::start(server.address()).await.unwrap();
    let endpoint = format!("http://{}", proxy.address());
    let storage = open(&server, &endpoint).await;
    let whole = content::bytes(4 * PART_BYTES);
    open(&server, server.endpoint())
        .await
        .put("long.bin", whole.clone())
        .await
        .unwrap();

    let object = storage.get("long.bin").await.unwrap();
    let mut pieces = Box::pin(object.stream());
    let first = pieces.next().await.expect("a piece").unwrap();
    proxy.block();
    proxy.cut();
    let mut read = first.to_vec();
    let mut failed = None;
    while let Some(piece) = within_bound(pieces.next()).await {
        match piece {
            Ok(piece) => read.extend_from_slice(&piece),
            Err(error) => failed = Some(error),
        }
    }
    assert!(whole.starts_with(&read), "what was read is the beginning");
    match failed {
        Some(error) => assert_eq!(error.kind(), StorageErrorKind::Unavailable, "{error}"),
        None => assert_eq!(
            read.len(),
            whole.len(),
            "an end without an error is the end"
        ),
    }

    // The bytes of a fresh read come whole again, once there is a way.
    proxy.unblock();
    let object = storage.get("long.bin").await.unwrap();
    assert_eq!(object.bytes().await.unwrap(), whole);
}

/// A body that sends more than one part, tells so, and never ends.
fn endless(told: &Arc<Notify>) -> Body {
    let told = Arc::clone(told);
    let start = content::bytes(2 * PART_BYTES + 7);
    let beginning = content::pieces(&start, 500_000);
    let rest = stream::once(async move {
        told.notify_one();
        std::future::pending::<Result<Bytes, std::io::Error>>().await
    });
    Body::stream(beginning.chain(rest))
}

/// Starts to put a body that never ends, and drops the put once parts of it were sent.
async fn put_and_drop(storage: &Storage) {
    let told = Arc::new(Notify::new());
    let put = storage.put("endless.bin", endless(&told)).into_future();
    tokio::select! {
        _ = put => panic!("an endless body ended"),
        () = told.notified() => {}
    }
}

#[tokio::test]
async fn a_put_that_is_cancelled_leaves_nothing_in_a_folder() {
    let place = Place::folder().await;
    put_and_drop(&place.storage).await;
    assert!(!place.storage.exists("endless.bin").await.unwrap());
    let staging = place.root().join(".forktex-storage").join("staging");
    assert!(staging.is_dir());
    wait_until("the end of the parts", async || {
        files_below(&staging).is_empty()
    })
    .await;
    assert!(!place.storage.exists("endless.bin").await.unwrap());
}

#[tokio::test]
async fn a_put_that_is_cancelled_leaves_nothing_on_s3() {
    let server = server().await;
    let storage = open(&server, server.endpoint()).await;
    put_and_drop(&storage).await;
    assert!(!storage.exists("endless.bin").await.unwrap());
    wait_until("the end of the parts", async || {
        server.list_parts_on_disk(BUCKET).unwrap().is_empty()
    })
    .await;
    assert!(!storage.exists("endless.bin").await.unwrap());
}

#[tokio::test]
async fn a_writer_that_is_dropped_leaves_nothing_on_s3() {
    let server = server().await;
    let storage = open(&server, server.endpoint()).await;
    let mut upload = storage.upload("dropped.bin").start().await.unwrap();
    // Written until a part has arrived, so that there is something to leave.
    for _ in 0..8 {
        upload.write(content::bytes(PART_BYTES)).await.unwrap();
    }
    assert!(!server.list_parts_on_disk(BUCKET).unwrap().is_empty());
    drop(upload);
    wait_until("the end of the parts", async || {
        server.list_parts_on_disk(BUCKET).unwrap().is_empty()
    })
    .await;
    let swept = storage.sweep_uploads(Duration::ZERO).await.unwrap();
    assert!(swept.aborted.is_empty(), "{swept:?}");
    assert!(!storage.exists("dropped.bin").await.unwrap());
}

#[tokio::test]
async fn the_sweeper_removes_what_is_old_and_nothing_else() {
    let server = server().await;
    let storage = open(&server, server.endpoint()).await;
    storage.put("kept.txt", "an object").await.unwrap();
    let mut upload = storage.upload("stale.bin").start().await.unwrap();
    for _ in 0..4 {
        upload.write(content::bytes(PART_BYTES)).await.unwrap();
    }
    // The owner is gone without a word, as a killed process is.
    std::mem::forget(upload);
    wait_until("a part", async || {
        !server.list_parts_on_disk(BUCKET).unwrap().is_empty()
    })
    .await;

    let day = Duration::from_hours(24);
    let swept = storage.sweep_uploads(day).await.unwrap();
    assert!(swept.aborted.is_empty(), "{swept:?}");
    server.age_uploads(day + Duration::from_secs(1));
    let swept = storage.sweep_uploads(day).await.unwrap();
    assert_eq!(swept.aborted.len(), 1, "{swept:?}");
    wait_until("the end of the parts", async || {
        server.list_parts_on_disk(BUCKET).unwrap().is_empty()
    })
    .await;
    assert!(storage.exists("kept.txt").await.unwrap());
    assert!(!storage.exists("stale.bin").await.unwrap());
}
