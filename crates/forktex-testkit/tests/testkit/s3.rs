// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! The S3 server: what is signed is served, and nothing else; conditions and lists as on S3.

use std::time::Duration;

use forktex_testkit::{S3, S3Options};
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
    let answer = exchange(s3, method, url, &[], body).await;
    (answer.status, answer.body)
}

struct Answer {
    status: u16,
    head: String,
    body: String,
}

impl Answer {
    fn header(&self, name: &str) -> &str {
        let headers = self.head.lines().filter_map(|line| line.split_once(": "));
        let mut values = headers.filter(|(of, _)| of.eq_ignore_ascii_case(name));
        values.next().map(|(_, value)| value).unwrap_or_default()
    }
}

/// Sends one request to the server, whatever host the URL names.
async fn exchange(
    s3: &S3,
    method: &str,
    url: &str,
    headers: &[(&str, &str)],
    body: &str,
) -> Answer {
    let (host, path) = url
        .strip_prefix("http://")
        .unwrap()
        .split_once('/')
        .unwrap();
    let length = body.len();
    let headers = headers
        .iter()
        .map(|(name, value)| format!("{name}: {value}\r\n"));
    let headers: String = headers.collect();
    let request = format!(
        "{method} /{path} HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n{headers}content-length: {length}\r\n\r\n{body}"
    );
    let mut stream = TcpStream::connect(s3.address()).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    Answer {
        status: head.split(' ').nth(1).unwrap().parse().unwrap(),
        head: head.to_owned(),
        body: body.to_owned(),
    }
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
    let other = get.as_str().replace("HMAC-SHA256", "HMAC-SHA512");
    let (status, body) = request(&s3, "GET", &other, "").await;
    assert_eq!(status, 400, "{body}");
    assert!(body.contains("AuthorizationQueryParametersError"), "{body}");
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

#[tokio::test]
async fn a_condition_that_does_not_hold_changes_nothing() {
    let s3 = S3::start().await.unwrap();
    s3.create_bucket("pictures").await.unwrap();
    let credentials = Credentials::new(s3.access_key(), s3.secret_key());
    let bucket = bucket(&s3, "pictures");
    let put = async |condition: Option<(&str, &str)>, key: &str, body: &str| {
        let mut action = bucket.put_object(Some(&credentials), key);
        if let Some((name, value)) = condition {
            action
                .headers_mut()
                .insert(name.to_owned(), value.to_owned());
        }
        let url = action.sign(ONE_MINUTE);
        exchange(&s3, "PUT", url.as_str(), condition.as_slice(), body).await
    };
    let get = bucket
        .get_object(Some(&credentials), "cat")
        .sign(ONE_MINUTE);

    let absent = Some(("if-none-match", "*"));
    let first = put(absent, "cat", "one").await;
    assert_eq!(first.status, 200, "{}", first.body);
    assert_eq!(put(absent, "cat", "two").await.status, 412);
    let wrong = Some(("if-match", "\"0123\""));
    assert_eq!(put(wrong, "cat", "two").await.status, 412);
    assert_eq!(put(wrong, "dog", "two").await.status, 404);
    assert_eq!(request(&s3, "GET", get.as_str(), "").await.1, "one");

    let right = Some(("if-match", first.header("etag")));
    let second = put(right, "cat", "two").await;
    assert_eq!(second.status, 200, "{}", second.body);
    let known = [("if-none-match", second.header("etag"))];
    assert_eq!(
        exchange(&s3, "GET", get.as_str(), &known, "").await.status,
        304
    );
    let range = [("range", "bytes=-2")];
    let end = exchange(&s3, "GET", get.as_str(), &range, "").await;
    assert_eq!((end.status, end.body.as_str()), (206, "wo"));
    assert_eq!(end.header("content-range"), "bytes 1-2/3");
}

#[tokio::test]
async fn a_list_is_paged_and_grouped() {
    let s3 = S3::start().await.unwrap();
    s3.create_bucket("pictures").await.unwrap();
    let credentials = Credentials::new(s3.access_key(), s3.secret_key());
    let bucket = bucket(&s3, "pictures");
    // A key may be a folder of others, as in no file system.
    for key in ["a", "a/1", "a/2", "b/1", "c"] {
        let put = bucket.put_object(Some(&credentials), key).sign(ONE_MINUTE);
        assert_eq!(request(&s3, "PUT", put.as_str(), key).await.0, 200);
    }
    let (mut token, mut found) = (None, Vec::new());
    for _ in 0..4 {
        let mut list = bucket.get_object(Some(&credentials), "");
        list.query_mut().insert("list-type", "2");
        list.query_mut().insert("delimiter", "/");
        list.query_mut().insert("max-keys", "1");
        if let Some(token) = token {
            list.query_mut().insert("continuation-token", token);
        }
        let (status, page) = request(&s3, "GET", list.sign(ONE_MINUTE).as_str(), "").await;
        assert_eq!(status, 200, "{page}");
        let text = |tag: &str| {
            let after = page.split(&format!("<{tag}>")).nth(1)?;
            after.split(&format!("</{tag}>")).next().map(str::to_owned)
        };
        let group = text("CommonPrefixes").map(|group| group.replace("Prefix>", ""));
        found.extend(text("Key").or(group));
        token = text("NextContinuationToken");
    }
    assert_eq!(found, ["a", "<a/</", "<b/</", "c"]);
    assert_eq!(token, None, "the last page says so");
}

#[tokio::test]
async fn an_overloaded_server_is_played_for_as_many_requests_as_are_ordered() {
    let s3 = S3::start().await.unwrap();
    s3.create_bucket("pictures").await.unwrap();
    let credentials = Credentials::new(s3.access_key(), s3.secret_key());
    let bucket = bucket(&s3, "pictures");
    let put = bucket
        .put_object(Some(&credentials), "cat")
        .sign(ONE_MINUTE);
    s3.slow_down(2);
    for expected in [503, 503, 200] {
        let (status, body) = request(&s3, "PUT", put.as_str(), "miaow").await;
        assert_eq!(status, expected, "{body}");
        assert_eq!(body.contains("SlowDown"), status == 503);
    }
    assert_eq!(s3.requests(), 3);
}

#[tokio::test]
async fn what_is_signed_for_another_host_or_region_is_refused() {
    let s3 = S3::start_with(S3Options::new().domain("localhost"))
        .await
        .unwrap();
    s3.create_bucket("pictures").await.unwrap();
    let credentials = Credentials::new(s3.access_key(), s3.secret_key());
    let sign = |endpoint: &str, style: UrlStyle, region: &str| {
        let name = "pictures".to_owned();
        let bucket =
            Bucket::new(endpoint.parse().unwrap(), style, name, region.to_owned()).unwrap();
        bucket
            .put_object(Some(&credentials), "cat")
            .sign(ONE_MINUTE)
    };
    let domain = s3.domain_endpoint().unwrap();
    let cases = [
        (s3.endpoint(), UrlStyle::Path, 200),
        (domain, UrlStyle::Path, 200),
        (domain, UrlStyle::VirtualHost, 200),
    ];
    for (endpoint, style, expected) in cases {
        let url = sign(endpoint, style, s3.region());
        let (status, body) = request(&s3, "PUT", url.as_str(), "miaow").await;
        assert_eq!(status, expected, "{url}: {body}");
    }
    let region = sign(s3.endpoint(), UrlStyle::Path, "eu-central-1");
    assert_eq!(request(&s3, "PUT", region.as_str(), "miaow").await.0, 400);
    let moved = sign(s3.endpoint(), UrlStyle::Path, s3.region());
    let moved = moved.as_str().replace(s3.endpoint(), domain);
    assert_eq!(request(&s3, "PUT", &moved, "miaow").await.0, 403);
}
