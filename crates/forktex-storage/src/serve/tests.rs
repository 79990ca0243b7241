// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! The router, asked over its service as a server would ask it.

use std::path::PathBuf;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, to_bytes};
use bytes::Bytes;
use futures_util::{StreamExt, stream};
use http::header::HOST;
use http::{HeaderMap, Request, StatusCode};
use time::OffsetDateTime;
use time::macros::datetime;
use tower::ServiceExt;

use super::{ServeConfig, router_with};
use crate::sign::folder::{Constraints, Link, PostPolicy, sign, sign_post};
use crate::{FolderConfig, PublicMap, Rule, Secret, Sha256Digest, Storage, StorageConfig};

mod writing;

const NOW: OffsetDateTime = datetime!(2026-01-01 12:00 UTC);
const BASE: &str = "http://files.test/base";
const KEY: &str = "a signing key of thirty-two bytes or more";
const MINUTE: Duration = Duration::from_mins(1);

/// A folder that is removed with the test, and the router that serves it.
struct Site {
    root: PathBuf,
    storage: Storage,
    app: Router,
}

struct Answer {
    status: StatusCode,
    headers: HeaderMap,
    body: Bytes,
}

impl Answer {
    fn header(&self, name: &str) -> &str {
        self.headers
            .get(name)
            .map_or("", |value| value.to_str().unwrap())
    }

    fn code(&self) -> String {
        let json: serde_json::Value = serde_json::from_slice(&self.body).unwrap();
        json["error"]["code"].as_str().unwrap().to_owned()
    }
}

fn link_for(method: &str, key: &str, constraints: &Constraints) -> String {
    let base_url = BASE.parse().unwrap();
    let path = format!("/default/{key}");
    let link = Link {
        method,
        base_url: &base_url,
        path: &path,
    };
    let url = sign(&link, constraints, &Secret::from(KEY), NOW, MINUTE).unwrap();
    url.strip_prefix("http://files.test").unwrap().to_owned()
}

impl Site {
    async fn open() -> Self {
        Self::open_with(ServeConfig::new()).await
    }

    async fn open_with(config: ServeConfig) -> Self {
        let name = format!("forktex-serve-{}", uuid::Uuid::new_v4().simple());
        let root = std::env::temp_dir().join(name);
        let bucket = FolderConfig::new(&root).serve_at(BASE, Secret::from(KEY));
        let settings = StorageConfig::new(bucket)
            .clock_frozen_at(NOW)
            .public_map(PublicMap::new().rule(Rule::prefix("public/").public()));
        let storage = Storage::open(settings).await.unwrap();
        let app = Router::new().nest("/base", router_with(&storage, config).unwrap());
        Self { root, storage, app }
    }

    async fn call(&self, request: Request<Body>) -> Answer {
        let response = self.app.clone().oneshot(request).await.unwrap();
        let (head, body) = response.into_parts();
        Answer {
            status: head.status,
            headers: head.headers,
            body: to_bytes(body, 64 * 1024 * 1024).await.unwrap(),
        }
    }

    async fn send(&self, method: &str, uri: &str, headers: &[(&str, &str)], body: Body) -> Answer {
        let mut request = Request::builder()
            .method(method)
            .uri(uri)
            .header(HOST, "files.test");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        self.call(request.body(body).unwrap()).await
    }

    async fn get(&self, key: &str, headers: &[(&str, &str)]) -> Answer {
        let link = link_for("GET", key, &Constraints::default());
        self.send("GET", &link, headers, Body::empty()).await
    }

    async fn put(&self, key: &str, constraints: &Constraints, body: &str) -> Answer {
        let link = link_for("PUT", key, constraints);
        let body = Body::from(body.to_owned());
        self.send("PUT", &link, &[("content-type", "text/plain")], body)
            .await
    }

    async fn post(&self, policy: &PostPolicy, extra: &str, file: Body) -> Answer {
        let base_url = BASE.parse().unwrap();
        let signed = sign_post(policy, &base_url, &Secret::from(KEY), NOW, MINUTE).unwrap();
        let mut start = String::new();
        for (name, value) in &signed.fields {
            start.push_str(&part(name, value));
        }
        start.push_str(extra);
        start.push_str(
            "--XX\r\nContent-Disposition: form-data; name=\"file\"; filename=\"f\"\r\n\r\n",
        );
        let body = stream::iter([Ok(Bytes::from(start))])
            .chain(file.into_data_stream())
            .chain(stream::iter([Ok(Bytes::from_static(b"\r\n--XX--\r\n"))]));
        let form = [("content-type", "multipart/form-data; boundary=XX")];
        self.send("POST", "/base/default", &form, Body::from_stream(body))
            .await
    }

    fn staged(&self) -> usize {
        let staging = self.root.join(".forktex-storage/staging");
        std::fs::read_dir(staging).unwrap().count()
    }

    fn stored(&self, key: &str) -> Option<String> {
        std::fs::read_to_string(self.root.join(key)).ok()
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        let _left = std::fs::remove_dir_all(&self.root);
    }
}

fn part(name: &str, value: &str) -> String {
    format!("--XX\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n")
}

#[tokio::test]
async fn what_was_put_by_a_link_is_read_by_a_link() {
    let site = Site::open().await;
    let put = site
        .put("a/ü +%.txt", &Constraints::default(), "hello")
        .await;
    assert_eq!(put.status, StatusCode::OK);
    let got = site.get("a/ü +%.txt", &[]).await;
    assert_eq!(
        (got.status, got.body.as_ref()),
        (StatusCode::OK, &b"hello"[..])
    );
    assert_eq!(got.header("etag"), put.header("etag"));
    assert!(got.header("etag").starts_with('"'));
    assert_eq!(got.header("content-type"), "text/plain");
    assert_eq!(got.header("content-length"), "5");
    assert_eq!(got.header("accept-ranges"), "bytes");
    assert_eq!(got.header("x-content-type-options"), "nosniff");
    assert_eq!(
        got.header("content-security-policy"),
        "sandbox; default-src 'none'"
    );
    let digest = site.storage.head("a/ü +%.txt").await.unwrap().sha256;
    assert_eq!(digest, Some(Sha256Digest::of("hello")));

    let link = link_for("HEAD", "a/ü +%.txt", &Constraints::default());
    let head = site.send("HEAD", &link, &[], Body::empty()).await;
    assert_eq!(head.status, StatusCode::OK);
    assert!(head.body.is_empty());
    assert_eq!(head.header("content-length"), "5");
    assert_eq!(site.staged(), 0);
}

#[tokio::test]
async fn ranges_are_answered_in_part() {
    let site = Site::open().await;
    site.put("a", &Constraints::default(), "0123456789").await;
    let part = site.get("a", &[("range", "bytes=2-4")]).await;
    assert_eq!(
        (part.status, part.body.as_ref()),
        (StatusCode::PARTIAL_CONTENT, &b"234"[..])
    );
    assert_eq!(part.header("content-range"), "bytes 2-4/10");
    assert_eq!(part.header("content-length"), "3");
    let end = site.get("a", &[("range", "bytes=-2")]).await;
    assert_eq!(end.body, "89");
    let several = site.get("a", &[("range", "bytes=0-1,3-4")]).await;
    assert_eq!((several.status, several.body.len()), (StatusCode::OK, 10));
    let outside = site.get("a", &[("range", "bytes=10-")]).await;
    assert_eq!(outside.status, StatusCode::RANGE_NOT_SATISFIABLE);
    assert_eq!(outside.header("content-range"), "bytes */10");
    assert_eq!(outside.code(), "invalid_range");
}

#[tokio::test]
async fn conditions_are_answered_without_the_bytes() {
    let site = Site::open().await;
    let put = site.put("a", &Constraints::default(), "text").await;
    let etag = put.header("etag").to_owned();
    let known = site.get("a", &[("if-none-match", &etag)]).await;
    assert_eq!(known.status, StatusCode::NOT_MODIFIED);
    assert!(known.body.is_empty());
    assert_eq!(known.header("etag"), etag);
    let date = site.get("a", &[]).await.header("last-modified").to_owned();
    let since = site.get("a", &[("if-modified-since", &date)]).await;
    assert_eq!(since.status, StatusCode::NOT_MODIFIED);
    let other = site.get("a", &[("if-match", "\"other\"")]).await;
    assert_eq!(other.status, StatusCode::PRECONDITION_FAILED);
    let range = [("range", "bytes=0-0"), ("if-range", "\"other\"")];
    assert_eq!(site.get("a", &range).await.status, StatusCode::OK);
}

#[tokio::test]
async fn only_what_was_signed_is_served() {
    let site = Site::open().await;
    site.put("a", &Constraints::default(), "secret").await;
    site.put("b", &Constraints::default(), "secret").await;
    let link = link_for("GET", "a", &Constraints::default());
    let refused = async |method: &str, uri: &str, host: &str| {
        let request = Request::builder()
            .method(method)
            .uri(uri)
            .header(HOST, host);
        let answer = site.call(request.body(Body::empty()).unwrap()).await;
        assert!(!String::from_utf8_lossy(&answer.body).contains("secret"));
        (
            answer.status.as_u16(),
            if method == "HEAD" {
                String::new()
            } else {
                answer.code()
            },
        )
    };
    let at = |code: &str| (403, code.to_owned());
    let other_key = link.replace("/default/a?", "/default/b?");
    assert_eq!(
        refused("GET", &other_key, "files.test").await,
        at("wrong_signature")
    );
    let longer = link.replace("expires=", "expires=9");
    assert_eq!(
        refused("GET", &longer, "files.test").await,
        at("wrong_signature")
    );
    assert_eq!(
        refused("PUT", &link, "files.test").await,
        at("wrong_method")
    );
    assert_eq!(refused("HEAD", &link, "files.test").await.0, 403);
    assert_eq!(refused("GET", &link, "other.test").await, at("wrong_host"));
    assert_eq!(
        refused("GET", "/base/default/a", "files.test").await,
        at("not_signed")
    );
    let added = format!("{link}&download-as=x");
    assert_eq!(
        refused("GET", &added, "files.test").await,
        at("wrong_signature")
    );
    let unknown = format!("{link}&other=1");
    assert_eq!(refused("GET", &unknown, "files.test").await.0, 400);
    assert_eq!(refused("DELETE", &link, "files.test").await.0, 405);
    let bucket = link.replace("/default/", "/elsewhere/");
    assert_eq!(refused("GET", &bucket, "files.test").await.0, 404);
    // The link itself is good.
    assert_eq!(
        site.send("GET", &link, &[], Body::empty()).await.status,
        StatusCode::OK
    );
}

#[tokio::test]
async fn a_link_ends() {
    let site = Site::open().await;
    site.put("a", &Constraints::default(), "text").await;
    let base_url = BASE.parse().unwrap();
    let link = Link {
        method: "GET",
        base_url: &base_url,
        path: "/default/a",
    };
    let long_ago = NOW - time::Duration::minutes(1);
    let secret = Secret::from(KEY);
    let url = sign(&link, &Constraints::default(), &secret, long_ago, MINUTE).unwrap();
    let uri = url.strip_prefix("http://files.test").unwrap();
    let ended = site.send("GET", uri, &[], Body::empty()).await;
    assert_eq!(
        (ended.status, ended.code()),
        (StatusCode::FORBIDDEN, "expired".to_owned())
    );
}

#[tokio::test]
async fn paths_that_climb_are_refused_in_every_form() {
    let site = Site::open().await;
    for path in [
        "/base/default/../secret",
        "/base/default/a/%2e%2e/%2e%2e/secret",
        "/base/default/%2Fetc%2Fpasswd",
        "/base/default//etc/passwd",
        "/base/default/a%00b",
        "/base/default/..%5Csecret",
        "/base/default/.forktex-storage/staging/x",
        "/base/default/%ff",
        "/base/default/%zz",
    ] {
        let answer = site.send("GET", path, &[], Body::empty()).await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{path}");
    }
}

#[cfg(unix)]
#[tokio::test]
async fn a_link_of_the_file_system_that_leaves_the_folder_is_refused() {
    let site = Site::open().await;
    std::os::unix::fs::symlink("/etc", site.root.join("etc")).unwrap();
    let got = site.get("etc/passwd", &[]).await;
    assert_eq!(got.status, StatusCode::FORBIDDEN);
    let put = site.put("etc/planted", &Constraints::default(), "x").await;
    assert_eq!(put.status, StatusCode::FORBIDDEN);
    assert_eq!(site.staged(), 0);
}

#[tokio::test]
async fn public_keys_need_no_signature_to_be_read_and_one_to_be_written() {
    let site = Site::open().await;
    site.put("public/logo", &Constraints::default(), "logo")
        .await;
    let got = site
        .send("GET", "/base/default/public/logo?v=3", &[], Body::empty())
        .await;
    assert_eq!(
        (got.status, got.body.as_ref()),
        (StatusCode::OK, &b"logo"[..])
    );
    assert_eq!(got.header("cache-control"), "");
    let put = site
        .send("PUT", "/base/default/public/logo", &[], Body::from("x"))
        .await;
    assert_eq!(put.status, StatusCode::FORBIDDEN);
    let absent = site
        .send("GET", "/base/default/public/none", &[], Body::empty())
        .await;
    assert_eq!(
        (absent.status, absent.code()),
        (StatusCode::NOT_FOUND, "not_found".to_owned())
    );
}

#[tokio::test]
async fn another_tenants_keys_are_out_of_reach_of_a_tenants_router() {
    let site = Site::open().await;
    site.put("org/acme/a", &Constraints::default(), "acme")
        .await;
    site.put("org/other/a", &Constraints::default(), "other")
        .await;
    let acme = site.storage.for_org("acme").unwrap();
    let narrowed = Site {
        root: site.root.join("nothing-to-remove"),
        storage: site.storage.clone(),
        app: Router::new().nest("/base", super::router(&acme).unwrap()),
    };
    assert_eq!(narrowed.get("org/acme/a", &[]).await.status, StatusCode::OK);
    let other = narrowed.get("org/other/a", &[]).await;
    assert_eq!(other.status, StatusCode::FORBIDDEN);
}

#[tokio::test]
async fn active_content_is_downloaded() {
    let site = Site::open().await;
    let link = link_for("PUT", "page", &Constraints::default());
    let page = Body::from("<html><script>alert(1)</script></html>");
    // Without a type the bytes tell.
    let put = site.send("PUT", &link, &[], page).await;
    assert_eq!(put.status, StatusCode::OK);
    let got = site.get("page", &[]).await;
    assert!(
        got.header("content-type").starts_with("text/html"),
        "{:?}",
        got.headers
    );
    assert_eq!(
        got.header("content-disposition"),
        "attachment; filename=\"page\""
    );

    std::fs::create_dir(site.root.join("public")).unwrap();
    std::fs::write(site.root.join("public/by-hand.html"), "<script></script>").unwrap();
    let by_hand = site
        .send(
            "GET",
            "/base/default/public/by-hand.html",
            &[],
            Body::empty(),
        )
        .await;
    assert_eq!(by_hand.header("content-type"), "application/octet-stream");
}
