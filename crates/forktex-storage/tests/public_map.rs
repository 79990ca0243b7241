// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! A signed link leads to the public host and holds there, while the service's own requests go to the internal one
//! (CONFORMANCE c59). The public host is a proxy before the S3 server: the same server by two addresses.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

#[path = "stage/client.rs"]
#[allow(dead_code, reason = "each test program uses its own part of the stage")]
mod client;

use bytes::Bytes;
use forktex_storage::{
    ConfigError, PublicAccess, PublicKey, PublicMap, Rule, S3Config, Storage, StorageConfig,
    StorageError,
};
use forktex_testkit::{Proxy, S3};

use crate::client::{post_form, send, send_to, split};

const BUCKET: &str = "pictures";

/// One server, and a way to it from outside.
struct TwoAddresses {
    server: S3,
    public: Proxy,
}

impl TwoAddresses {
    async fn start() -> Self {
        let server = S3::start().await.unwrap();
        server.create_bucket(BUCKET).await.unwrap();
        let public = Proxy::start(server.address()).await.unwrap();
        Self { server, public }
    }

    fn public_url(&self) -> String {
        format!("http://{}", self.public.address())
    }

    fn bucket(&self) -> S3Config {
        let server = &self.server;
        S3Config::minio(
            server.endpoint(),
            BUCKET,
            server.access_key(),
            server.secret_key(),
        )
    }

    async fn storage(&self, map: PublicMap) -> Storage {
        let config = StorageConfig::new(self.bucket()).public_map(map);
        Storage::open(config).await.unwrap()
    }
}

#[tokio::test]
async fn a_link_holds_on_the_public_host_while_uploads_go_to_the_internal_one() {
    let stage = TwoAddresses::start().await;
    let map = PublicMap::new().rule(Rule::any().endpoint(stage.public_url()).path_style());
    let storage = stage.storage(map).await;

    // Nobody comes in by the public way now: what works does not take it.
    stage.public.block();
    storage.put("a/cat.txt", "miaow").await.unwrap();
    assert!(storage.exists("a/cat.txt").await.unwrap());
    let link = storage.signed_url("a/cat.txt").await.unwrap();
    stage.public.unblock();

    assert!(
        link.url
            .starts_with(&format!("{}/{BUCKET}/", stage.public_url())),
        "{}",
        link.url
    );
    let answer = send("GET", &link.url, &link.headers, Bytes::new()).await;
    assert_eq!((answer.status, answer.text()), (200, "miaow".to_owned()));

    // It was signed for the public host: rewritten to the internal one, it is refused.
    let (_, target) = split(&link.url);
    let internal = stage.server.address().to_string();
    let answer = send_to(&internal, &internal, "GET", target, &[], Bytes::new()).await;
    assert_eq!(answer.status, 403, "{}", answer.text());
    // And it is the host that counts, not the way.
    let public = stage.public.address().to_string();
    let answer = send_to(&internal, &public, "GET", target, &[], Bytes::new()).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
}

#[tokio::test]
async fn what_clients_write_comes_by_the_public_host_too() {
    let stage = TwoAddresses::start().await;
    let map = PublicMap::new().rule(Rule::any().endpoint(stage.public_url()).path_style());
    let storage = stage.storage(map).await;

    let link = storage
        .signed_url("in/a.txt")
        .access(PublicAccess::Write)
        .await
        .unwrap();
    assert!(link.url.starts_with(&stage.public_url()), "{}", link.url);
    let answer = send("PUT", &link.url, &link.headers, "put").await;
    assert_eq!(answer.status, 200, "{}", answer.text());

    let form = storage
        .presigned_post("in/b.txt")
        .bytes_max(10)
        .await
        .unwrap();
    assert!(form.url.starts_with(&stage.public_url()), "{}", form.url);
    let answer = post_form(&form.url, &form.fields, b"posted").await;
    assert!(
        matches!(answer.status, 200..=204),
        "{}: {}",
        answer.status,
        answer.text()
    );

    stage.public.block();
    for (key, expected) in [("in/a.txt", "put"), ("in/b.txt", "posted")] {
        let object = storage.get(key).await.unwrap();
        assert_eq!(object.bytes().await.unwrap(), expected);
    }
}

#[tokio::test]
async fn the_first_rule_that_matches_is_taken() {
    let stage = TwoAddresses::start().await;
    let map = PublicMap::new()
        .rule(Rule::prefix("internal/"))
        .rule(Rule::prefix("static/").public_base("https://static.example.com/files"))
        .rule(Rule::any().endpoint(stage.public_url()).path_style());
    let storage = stage.storage(map).await;

    let begins = async |key: &str| storage.signed_url(key).await.unwrap().url;
    assert!(
        begins("internal/a.txt")
            .await
            .starts_with(stage.server.endpoint())
    );
    assert!(begins("a.txt").await.starts_with(&stage.public_url()));
    // Whole segments are compared.
    assert!(
        begins("internals/a.txt")
            .await
            .starts_with(&stage.public_url())
    );

    let key = PublicKey::new("static/a b.css").unwrap();
    let url = storage.public_url(&key).unwrap();
    assert_eq!(
        url.as_str(),
        "https://static.example.com/files/static/a%20b.css"
    );
    let key = PublicKey::new("a.txt").unwrap();
    storage.public_url(&key).map(drop).unwrap_err();
}

#[tokio::test]
async fn a_link_by_its_own_endpoint_is_the_internal_one() {
    let stage = TwoAddresses::start().await;
    let storage = stage.storage(PublicMap::new()).await;
    storage.put("a.txt", "hello").await.unwrap();
    let link = storage.signed_url("a.txt").await.unwrap();
    assert!(
        link.url.starts_with(stage.server.endpoint()),
        "{}",
        link.url
    );
    let answer = send("GET", &link.url, &link.headers, Bytes::new()).await;
    assert_eq!((answer.status, answer.text()), (200, "hello".to_owned()));
}

#[tokio::test]
async fn a_missing_key_is_deleted_and_not_got() {
    let stage = TwoAddresses::start().await;
    let map = PublicMap::new().rule(Rule::any().endpoint(stage.public_url()).path_style());
    let storage = stage.storage(map).await;
    storage.delete("never/was.txt").await.unwrap();
    let error = storage.get("never/was.txt").await.map(drop).unwrap_err();
    assert!(error.is_not_found(), "{error}");
    let link = storage.signed_url("never/was.txt").await.unwrap();
    let answer = send("GET", &link.url, &link.headers, Bytes::new()).await;
    assert_eq!(answer.status, 404, "{}", answer.text());
}

#[tokio::test]
async fn a_rule_that_would_break_a_signature_is_refused_with_the_reason() {
    let stage = TwoAddresses::start().await;
    let rules = [
        (
            "an endpoint with a path",
            Rule::any().endpoint("http://files.example.com/behind"),
        ),
        (
            "an endpoint with a query",
            Rule::any().endpoint("http://files.example.com?a=b"),
        ),
        (
            "an endpoint with a user",
            Rule::any().endpoint("http://me:secret@files.example.com"),
        ),
        ("no URL", Rule::any().endpoint("files.example.com")),
        (
            "another scheme",
            Rule::any().endpoint("ftp://files.example.com"),
        ),
        (
            "a virtual host of a number address",
            Rule::any().endpoint("http://127.0.0.1:9000").virtual_host(),
        ),
        (
            "a public base with a query",
            Rule::any().public_base("https://files.example.com?a=b"),
        ),
    ];
    for (what, rule) in rules {
        let map = PublicMap::new().rule(rule);
        let config = StorageConfig::new(stage.bucket()).public_map(map);
        let error = Storage::open(config).await.map(drop).expect_err(what);
        let StorageError::Config(ConfigError::PublicRule { reason, .. }) = &error else {
            panic!("{what}: {error}");
        };
        assert!(!reason.is_empty(), "{what}");
        let told = format!("{error} {error:?}");
        assert!(!told.contains("secret"), "{what}: {told}");
    }
}
