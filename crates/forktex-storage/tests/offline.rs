// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! Signing is done here: it works with a client that refuses all connections, and sends nothing to anybody.
//!
//! The key in `offline/test_key.pem` was made for this test, and opens nothing.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use std::net::Ipv4Addr;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use forktex_storage::{
    AzureConfig, BucketConfig, CloudFrontKey, GcsConfig, PublicAccess, PublicMap, Rule, S3Config,
    S3Credentials, Secret, Storage, StorageConfig, StorageErrorKind,
};
use futures_util::FutureExt as _;
use tokio::net::TcpListener;

const TEST_KEY: &str = include_str!("offline/test_key.pem");

fn s3() -> S3Config {
    S3Config::new("pictures", "eu-central-1")
        .credentials(S3Credentials::new("AKIDEXAMPLE", "a secret of the test"))
}

fn gcs() -> GcsConfig {
    let account = serde_json::json!({
        "type": "service_account",
        "project_id": "test",
        "private_key_id": "1",
        "private_key": TEST_KEY,
        "client_email": "test@test.iam.gserviceaccount.com",
        "client_id": "1",
        "token_uri": "https://oauth2.googleapis.com/token",
    });
    GcsConfig::new("pictures").service_account_json(Secret::from(account.to_string()))
}

fn azure() -> AzureConfig {
    let key = STANDARD.encode("a key of the test, which no account has");
    AzureConfig::new("account", "pictures").access_key(Secret::from(key))
}

/// With a client that refuses all connections.
async fn offline(bucket: impl Into<BucketConfig>, map: PublicMap) -> Storage {
    let config = StorageConfig::new(bucket)
        .public_map(map)
        .ticket_key(Secret::from(
            "the key of the tests' tickets, 32 bytes or more",
        ))
        .retry_attempts_max(0)
        .offline();
    Storage::open(config).await.unwrap()
}

/// Else all that follows would show nothing.
async fn assert_cut_off(storage: &Storage) {
    let error = storage.head("a.txt").await.map(drop).unwrap_err();
    assert_eq!(error.kind(), StorageErrorKind::Unavailable, "{error}");
}

async fn assert_signs_links(storage: &Storage) {
    for number in 0..20 {
        let key = format!("folder/ä {number}+~.txt");
        let read = storage
            .signed_url(&key)
            .ttl(Duration::from_mins(5))
            .download_as("Grüße.txt")
            .await
            .unwrap();
        assert!(read.url.starts_with("https://"), "{}", read.url);
        assert!(read.url.contains("folder/%C3%A4%20"), "{}", read.url);
    }
    let write = storage.signed_url("a.txt").access(PublicAccess::Write);
    assert_eq!(write.await.unwrap().method, "PUT");
}

#[tokio::test]
async fn s3_signs_offline() {
    let storage = offline(s3(), PublicMap::new()).await;
    assert_cut_off(&storage).await;
    assert_signs_links(&storage).await;
    storage.signed_url("a.txt").head().await.unwrap();
    let form = storage.presigned_post("a.png").bytes_max(10).await.unwrap();
    assert!(form.fields.iter().any(|(name, _)| name == "policy"));
    storage.upload_ticket("a.png").bytes_max(10).await.unwrap();
}

#[tokio::test]
async fn gcs_signs_offline() {
    let storage = offline(gcs(), PublicMap::new()).await;
    assert_cut_off(&storage).await;
    assert_signs_links(&storage).await;
    storage.signed_url("a.txt").head().await.unwrap();
    storage.presigned_post("a.png").bytes_max(10).await.unwrap();
}

#[tokio::test]
async fn azure_signs_offline() {
    let storage = offline(azure(), PublicMap::new()).await;
    assert_cut_off(&storage).await;
    for access in [PublicAccess::Read, PublicAccess::Write] {
        let link = storage.signed_url("a.txt").access(access).inline();
        assert!(link.await.unwrap().url.contains("sig="));
    }
}

#[tokio::test]
async fn cloudfront_signs_offline() {
    let key = CloudFrontKey::from_pem("K2JCJMDEHXQW5F", TEST_KEY).unwrap();
    let rule = Rule::any().cloudfront("https://d111111abcdef8.cloudfront.net", key);
    let storage = offline(s3(), PublicMap::new().rule(rule)).await;
    assert_cut_off(&storage).await;
    let link = storage.signed_url("a.txt").await.unwrap();
    assert!(
        link.url
            .starts_with("https://d111111abcdef8.cloudfront.net/a.txt?"),
        "{}",
        link.url
    );
    storage.cookies("folder/").await.unwrap();
}

/// With the client that can connect, to a server that is there, nobody comes.
#[tokio::test]
async fn signing_makes_no_connection() {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    let bucket = S3Config::minio(&endpoint, "pictures", "key", "a secret of the test");
    let config = StorageConfig::new(bucket)
        .request_timeout(Duration::from_secs(5))
        .retry_attempts_max(0);
    let storage = Storage::open(config).await.unwrap();
    for access in [PublicAccess::Read, PublicAccess::Write] {
        let link = storage.signed_url("a.txt").access(access).await.unwrap();
        assert!(link.url.starts_with(&endpoint), "{}", link.url);
    }
    storage.presigned_post("a.png").bytes_max(10).await.unwrap();
    assert!(
        listener.accept().now_or_never().is_none(),
        "somebody connected"
    );

    // As everybody does who asks for an object.
    let head = tokio::spawn(async move { storage.head("a.txt").await });
    listener.accept().await.unwrap();
    head.abort();
}
