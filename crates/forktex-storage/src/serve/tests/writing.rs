// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! Uploads by link and by form: what is stored, what is refused, and that a refused one leaves nothing.

use std::time::Duration;

use axum::body::{Body, to_bytes};
use bytes::Bytes;
use futures_util::{StreamExt, stream};
use http::header::{CONTENT_TYPE, HOST};
use http::{Request, StatusCode};
use tower::ServiceExt;

use super::super::ServeConfig;
use super::{BASE, KEY, MINUTE, NOW, Site, link_for, part};
use crate::sign::folder::{Constraints, PostPolicy, sign_post};
use crate::{Secret, Sha256Digest};

#[tokio::test]
async fn a_write_is_held_to_what_was_signed() {
    let site = Site::open().await;
    let all = Constraints {
        content_type: Some("text/plain".to_owned()),
        bytes_max: Some(5),
        if_absent: true,
        download_as: Some("b.txt".to_owned()),
        sha256: Some(Sha256Digest::of("hello")),
        ..Constraints::default()
    };
    let link = link_for("PUT", "a", &all);
    let typed = [("content-type", "text/html")];
    let wrong_type = site.send("PUT", &link, &typed, Body::from("hello")).await;
    assert_eq!(wrong_type.status, StatusCode::UNSUPPORTED_MEDIA_TYPE);
    let no_type = site.send("PUT", &link, &[], Body::from("hello")).await;
    assert_eq!(no_type.status, StatusCode::UNSUPPORTED_MEDIA_TYPE);
    let large = site.put("a", &all, "hello!").await;
    assert_eq!(
        (large.status, large.code()),
        (StatusCode::PAYLOAD_TOO_LARGE, "too_large".to_owned())
    );
    // Without a length in advance too.
    let typed = [("content-type", "text/plain")];
    let endless = stream::repeat_with(|| Ok::<_, std::io::Error>(Bytes::from_static(b"x")));
    let endless = site
        .send("PUT", &link, &typed, Body::from_stream(endless))
        .await;
    assert_eq!(endless.status, StatusCode::PAYLOAD_TOO_LARGE);
    let other = site.put("a", &all, "hellO").await;
    assert_eq!(
        (other.status, other.code()),
        (StatusCode::BAD_REQUEST, "wrong_checksum".to_owned())
    );
    assert_eq!((site.stored("a"), site.staged()), (None, 0));

    assert_eq!(site.put("a", &all, "hello").await.status, StatusCode::OK);
    let again = site.put("a", &all, "hello").await;
    assert_eq!(again.status, StatusCode::PRECONDITION_FAILED);
    let got = site.get("a", &[]).await;
    assert_eq!(
        got.header("content-disposition"),
        "attachment; filename=\"b.txt\""
    );
    assert_eq!(site.staged(), 0);
}

#[tokio::test]
async fn a_write_keeps_the_conditions_of_the_request() {
    let site = Site::open().await;
    let link = link_for("PUT", "a", &Constraints::default());
    let put = async |name: &str, value: &str| {
        let answer = site
            .send("PUT", &link, &[(name, value)], Body::from("text"))
            .await;
        (answer.status.as_u16(), answer.header("etag").to_owned())
    };
    assert_eq!(put("if-match", "*").await.0, 412);
    let (status, etag) = put("if-none-match", "*").await;
    assert_eq!(status, 200);
    assert_eq!(put("if-none-match", "*").await.0, 412);
    assert_eq!(put("if-none-match", "\"x\"").await.0, 400);
    assert_eq!(put("if-match", "\"x\"").await.0, 412);
    assert_eq!(put("if-match", &etag).await.0, 200);
    assert_eq!(put("if-match", &etag).await.0, 412);
    assert_eq!(put("content-encoding", "gzip").await.0, 415);
}

#[tokio::test]
async fn a_key_that_is_a_folder_is_a_conflict() {
    let site = Site::open().await;
    site.put("a/b", &Constraints::default(), "x").await;
    let clash = site.put("a", &Constraints::default(), "x").await;
    assert_eq!(
        (clash.status, clash.code()),
        (StatusCode::CONFLICT, "name_clash".to_owned())
    );
    assert_eq!(site.get("a", &[]).await.status, StatusCode::NOT_FOUND);
    assert_eq!(site.staged(), 0);
}

#[tokio::test]
async fn a_body_that_stalls_or_breaks_off_leaves_nothing() {
    let config = ServeConfig::new().idle_timeout(Duration::from_millis(50));
    let site = Site::open_with(config).await;
    let link = link_for("PUT", "a", &Constraints::default());
    let start = || stream::iter([Ok::<_, std::io::Error>(Bytes::from_static(b"half"))]);

    let stalled = Body::from_stream(start().chain(stream::pending()));
    let answer = site.send("PUT", &link, &[], stalled).await;
    assert_eq!(
        (answer.status, answer.code()),
        (StatusCode::REQUEST_TIMEOUT, "too_slow".to_owned())
    );
    assert_eq!((site.stored("a"), site.staged()), (None, 0));

    let cut = start().chain(stream::iter([Err(std::io::Error::other("reset"))]));
    let answer = site.send("PUT", &link, &[], Body::from_stream(cut)).await;
    assert_eq!(answer.status, StatusCode::BAD_REQUEST);
    assert_eq!((site.stored("a"), site.staged()), (None, 0));

    let policy = PostPolicy::new("default", "a", 100);
    let stalled = Body::from_stream(start().chain(stream::pending()));
    let answer = site.post(&policy, "", stalled).await;
    assert_eq!(answer.status, StatusCode::REQUEST_TIMEOUT);
    assert_eq!((site.stored("a"), site.staged()), (None, 0));
}

#[tokio::test]
async fn a_body_that_only_drips_ends_with_the_request() {
    let config = ServeConfig::new().request_timeout(Duration::from_millis(50));
    let site = Site::open_with(config).await;
    let link = link_for("PUT", "a", &Constraints::default());
    let ticks = tokio::time::interval(Duration::from_millis(5));
    let drip = stream::unfold(ticks, |mut ticks| async {
        ticks.tick().await;
        Some((Ok::<_, std::io::Error>(Bytes::from_static(b"x")), ticks))
    });
    let answer = site.send("PUT", &link, &[], Body::from_stream(drip)).await;
    assert_eq!(answer.status, StatusCode::REQUEST_TIMEOUT);
    assert_eq!((site.stored("a"), site.staged()), (None, 0));
}

#[tokio::test]
async fn an_answer_that_nobody_takes_is_cut_and_makes_room() {
    let config = ServeConfig::new()
        .requests_parallel_max(1)
        .response_idle_timeout(Duration::from_millis(500));
    let site = Site::open_with(config).await;
    site.put("a", &Constraints::default(), &"x".repeat(1024 * 1024))
        .await;
    let link = link_for("GET", "a", &Constraints::default());
    let request = Request::builder()
        .uri(&link)
        .header(HOST, "files.test")
        .body(Body::empty())
        .unwrap();
    let held = site.app.clone().oneshot(request).await.unwrap();
    let busy = site.get("a", &[]).await;
    assert_eq!(
        (busy.status, busy.code()),
        (StatusCode::TOO_MANY_REQUESTS, "busy".to_owned())
    );
    assert_eq!(busy.header("retry-after"), "1");
    let room = tokio::time::timeout(Duration::from_secs(10), async {
        while site.get("absent", &[]).await.status == StatusCode::TOO_MANY_REQUESTS {
            tokio::task::yield_now().await;
        }
    });
    room.await.unwrap();
    assert!(to_bytes(held.into_body(), usize::MAX).await.is_err());
}

#[tokio::test]
async fn a_form_stores_its_file_within_its_policy() {
    let site = Site::open().await;
    let mut policy = PostPolicy::new("default", "inbox/cat.png", 8);
    policy.bytes_min = 2;
    policy.content_type = Some("image/png".to_owned());
    policy.if_absent = true;
    policy.metadata.insert("owner".to_owned(), "ada".to_owned());

    let small = site.post(&policy, "", Body::from("1")).await;
    assert_eq!(
        (small.status, small.code()),
        (StatusCode::BAD_REQUEST, "too_small".to_owned())
    );
    let large = site.post(&policy, "", Body::from("123456789")).await;
    assert_eq!(large.status, StatusCode::PAYLOAD_TOO_LARGE);
    let extra = part("x-acl", "public");
    let unknown = site.post(&policy, &extra, Body::from("1234")).await;
    assert_eq!(
        (unknown.status, unknown.code()),
        (StatusCode::FORBIDDEN, "unknown_field".to_owned())
    );
    assert_eq!((site.stored("inbox/cat.png"), site.staged()), (None, 0));

    let good = site.post(&policy, "", Body::from("1234")).await;
    assert_eq!(good.status, StatusCode::NO_CONTENT);
    assert!(good.header("etag").starts_with('"'));
    assert_eq!(site.stored("inbox/cat.png").as_deref(), Some("1234"));
    let info = site.storage.head("inbox/cat.png").await.unwrap();
    assert_eq!(info.metadata.get("owner").map(String::as_str), Some("ada"));
    assert_eq!(info.sha256, Some(Sha256Digest::of("1234")));
    let again = site.post(&policy, "", Body::from("5678")).await;
    assert_eq!(again.status, StatusCode::PRECONDITION_FAILED);
    assert_eq!(site.staged(), 0);
}

#[tokio::test]
async fn a_form_that_was_changed_is_refused() {
    let site = Site::open().await;
    let base_url = BASE.parse().unwrap();
    let mut policy = PostPolicy::new("default", "a", 100);
    policy.content_type_prefix = Some("image/".to_owned());
    let signed = sign_post(&policy, &base_url, &Secret::from(KEY), NOW, MINUTE).unwrap();
    let send = async |fields: &[(String, String)], host: &str| {
        let mut body: String = fields
            .iter()
            .map(|(name, value)| part(name, value))
            .collect();
        body.push_str(&part("file", "content"));
        body.push_str("--XX--\r\n");
        let request = Request::builder()
            .method("POST")
            .uri("/base/default")
            .header(HOST, host)
            .header(CONTENT_TYPE, "multipart/form-data; boundary=XX");
        site.call(request.body(Body::from(body)).unwrap())
            .await
            .status
            .as_u16()
    };
    let mut fields = signed.fields.clone();
    assert_eq!(send(&fields, "files.test").await, 415, "no type");
    fields.insert(0, ("Content-Type".to_owned(), "text/html".to_owned()));
    assert_eq!(send(&fields, "files.test").await, 415, "another type");
    fields[0].1 = "image/gif".to_owned();
    assert_eq!(send(&fields, "other.test").await, 403, "another host");
    let change = |name: &str, value: &str| {
        let mut changed = fields.clone();
        for field in changed.iter_mut().filter(|(field, _)| field == name) {
            value.clone_into(&mut field.1);
        }
        changed
    };
    assert_eq!(
        send(&change("key", "b"), "files.test").await,
        403,
        "another key"
    );
    assert_eq!(
        send(&change("signature", &"0".repeat(64)), "files.test").await,
        403
    );
    assert_eq!(send(&change("policy", "e30="), "files.test").await, 403);
    assert_eq!((site.stored("a"), site.stored("b")), (None, None));
    assert_eq!(send(&fields, "files.test").await, 204);
    assert_eq!(site.stored("a").as_deref(), Some("content"));
    assert_eq!(site.staged(), 0);
}

#[tokio::test]
async fn what_is_no_form_is_refused() {
    let site = Site::open().await;
    let json = [("content-type", "application/json")];
    let answer = site
        .send("POST", "/base/default", &json, Body::from("{}"))
        .await;
    assert_eq!(answer.status, StatusCode::UNSUPPORTED_MEDIA_TYPE);
    let answer = site.send("GET", "/base/default", &[], Body::empty()).await;
    assert_eq!(answer.status, StatusCode::METHOD_NOT_ALLOWED);
}
