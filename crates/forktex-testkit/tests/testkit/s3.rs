// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! The S3 server: what is signed is served, and nothing else.

use std::time::Duration;

use forktex_testkit::S3;
use rusty_s3::{Bucket, Credentials, S3Action as _, UrlStyle};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

const ONE_MINUTE: Duration = Duration::from_mins(1);

fn bucket(s3: &S3, name: &str) -> Bucket {
    let endpoint = s3.endpoint().parse().unwrap();
    Bucket::new(endpoint, UrlStyle::Path, name.to_owned(), s3.region()).unwrap()
}

/// Sends one request; gives the status and the body.
async fn request(s3: &S3, method: &str, url: &str, body: &str) -> (u16, String) {
    let path = url.strip_prefix(s3.endpoint()).unwrap();
    let host = s3.address();
    let length = body.len();
    let request = format!(
        "{method} {path} HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n{body}"
    );
    let mut stream = TcpStream::connect(host).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (
        head.split(' ').nth(1).unwrap().parse().unwrap(),
        body.to_owned(),
    )
}

#[tokio::test]
async fn a_signed_request_is_served_and_others_are_refused() {
    let s3 = S3::start().await.unwrap();
    s3.create_bucket("pictures").await.unwrap();
    let bucket = bucket(&s3, "pictures");
    let credentials = Credentials::new(s3.access_key(), s3.secret_key());

    let put = bucket
        .put_object(Some(&credentials), "a/cat.txt")
        .sign(ONE_MINUTE);
    assert_eq!(request(&s3, "PUT", put.as_str(), "miaow").await.0, 200);
    let get = bucket
        .get_object(Some(&credentials), "a/cat.txt")
        .sign(ONE_MINUTE);
    let (status, body) = request(&s3, "GET", get.as_str(), "").await;
    assert_eq!(status, 200);
    assert!(body.contains("miaow"), "{body}");

    let wrong = Credentials::new(s3.access_key(), "wrong");
    let forged = bucket
        .get_object(Some(&wrong), "a/cat.txt")
        .sign(ONE_MINUTE);
    let unsigned = bucket.object_url("a/cat.txt");
    let expired = get.as_str().replace("X-Amz-Expires=60", "X-Amz-Expires=0");
    for url in [forged.as_str(), unsigned.as_str(), &expired] {
        let (status, body) = request(&s3, "GET", url, "").await;
        assert_eq!(status, 403, "{url}: {body}");
        assert!(!body.contains("miaow"), "{url}: {body}");
    }
}

#[tokio::test]
async fn a_signature_ends_with_its_time() {
    let s3 = S3::start().await.unwrap();
    s3.create_bucket("pictures").await.unwrap();
    let credentials = Credentials::new(s3.access_key(), s3.secret_key());
    let bucket = bucket(&s3, "pictures");
    let url = bucket
        .get_object(Some(&credentials), "none")
        .sign(Duration::from_secs(1));
    let deadline = tokio::time::Instant::now() + Duration::from_secs(10);
    while request(&s3, "GET", url.as_str(), "").await.0 != 403 {
        assert!(
            tokio::time::Instant::now() < deadline,
            "the signature never expired"
        );
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test]
async fn a_bucket_has_a_plain_name_and_is_made_once() {
    let s3 = S3::start().await.unwrap();
    s3.create_bucket("one").await.unwrap();
    for name in ["one", "../two", "", "a/b", "/tmp/three"] {
        s3.create_bucket(name).await.unwrap_err();
    }
}

#[tokio::test]
async fn a_secret_is_not_shown() {
    let s3 = S3::start().await.unwrap();
    assert!(!format!("{s3:?}").contains(s3.secret_key()));
}
