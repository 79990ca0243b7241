// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! Our signatures against those of the vendors' own libraries, whole texts, byte by byte.
//!
//! The data were made by the scripts of `tests/vectors`, so that no Python is needed here.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use std::time::Duration;

use forktex_storage::__testing::{
    azure, cloudfront,
    form::{Condition, PostForm},
    gcs, gcs_post, sigv4, sigv4_post,
};
use forktex_storage::Secret;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use time::OffsetDateTime;
use url::Url;

type Pair = (String, String);
type Pairs = Vec<Pair>;

fn read<T: DeserializeOwned>(json: &str) -> T {
    serde_json::from_str(json).unwrap()
}

fn endpoint(text: &str) -> Url {
    Url::parse(text).unwrap()
}

fn moment(seconds: i64) -> OffsetDateTime {
    OffsetDateTime::from_unix_timestamp(seconds).unwrap()
}

/// Panics with what stands around the first byte that differs.
#[track_caller]
fn assert_same(case: usize, ours: &str, theirs: &str) {
    if ours == theirs {
        return;
    }
    let same = ours
        .bytes()
        .zip(theirs.bytes())
        .take_while(|(our, their)| our == their)
        .count();
    let around = |text: &str| {
        let bytes = text.as_bytes();
        let end = bytes.len().min(same + 60);
        String::from_utf8_lossy(&bytes[same.saturating_sub(60)..end]).into_owned()
    };
    panic!(
        "case {case} differs from byte {same}:\n  ours:   {}\n  theirs: {}",
        around(ours),
        around(theirs)
    );
}

/// Field by field first, since that names the field.
#[track_caller]
fn assert_same_fields(case: usize, ours: &[Pair], theirs: &[Pair]) {
    for ((our_name, ours), (their_name, theirs)) in ours.iter().zip(theirs) {
        assert_same(case, our_name, their_name);
        if our_name == "policy" {
            assert_same(case, &decoded(ours), &decoded(theirs));
        }
    }
    assert_same(case, &format!("{ours:#?}"), &format!("{theirs:#?}"));
}

fn decoded(policy: &str) -> String {
    let bytes = data_encoding::BASE64.decode(policy.as_bytes()).unwrap();
    String::from_utf8(bytes).unwrap()
}

#[derive(Deserialize)]
struct AwsCredentials {
    access_key: String,
    secret_key: String,
    session_token: Option<String>,
}

impl AwsCredentials {
    fn all(given: Vec<Self>) -> Vec<sigv4::Credentials> {
        given
            .into_iter()
            .map(|one| sigv4::Credentials {
                access_key: one.access_key,
                secret_key: Secret::from(one.secret_key),
                session_token: one.session_token.map(Secret::from),
            })
            .collect()
    }
}

#[derive(Deserialize)]
struct Sigv4 {
    credentials: Vec<AwsCredentials>,
    cases: Vec<Sigv4Case>,
}

#[derive(Deserialize)]
struct Sigv4Case {
    method: String,
    credentials: usize,
    region: String,
    endpoint: String,
    path: String,
    query: Pairs,
    headers: Pairs,
    now: i64,
    expires: u64,
    url: String,
}

#[test]
fn s3_urls_are_those_of_botocore_and_of_the_aws_documentation() {
    let vectors: Sigv4 = read(include_str!("vectors/sigv4.json"));
    let credentials = AwsCredentials::all(vectors.credentials);
    let keys = sigv4::SigningKeys::new();
    assert!(vectors.cases.len() > 300);
    for (number, case) in vectors.cases.iter().enumerate() {
        let request = sigv4::Request {
            method: &case.method,
            endpoint: &endpoint(&case.endpoint),
            path: &case.path,
            query: &case.query,
            headers: &case.headers,
        };
        let credentials = &credentials[case.credentials];
        let now = moment(case.now);
        let key = keys.get(&credentials.secret_key, now, &case.region);
        let expires = Duration::from_secs(case.expires);
        let url = sigv4::presign(&request, credentials, &key, now, expires).unwrap();
        assert_same(number, &url, &case.url);
    }
}

/// A step of building a form: its kind, and one or two values, which may be numbers.
type Step = Vec<serde_json::Value>;

fn form_of(steps: &[Step]) -> PostForm {
    steps.iter().fold(PostForm::new(), |form, step| {
        let text = |place: usize| step[place].as_str().unwrap().to_owned();
        let number = |place: usize| step[place].as_u64().unwrap();
        match text(0).as_str() {
            "field" => form.field(text(1), text(2)),
            "loose" => form.loose_field(text(1), text(2)),
            "range" => form.content_length_range(number(1), number(2)),
            "starts-with" => form.condition(Condition::StartsWith {
                field: text(1),
                prefix: text(2),
            }),
            other => panic!("no step is called {other}"),
        }
    })
}

#[derive(Deserialize)]
struct Sigv4Post {
    credentials: Vec<AwsCredentials>,
    cases: Vec<Sigv4PostCase>,
}

#[derive(Deserialize)]
struct Sigv4PostCase {
    credentials: usize,
    region: String,
    endpoint: String,
    path_style: bool,
    bucket: String,
    key: String,
    key_is: String,
    form: Vec<Step>,
    now: i64,
    expires: u64,
    url: String,
    fields: Pairs,
}

#[test]
fn s3_forms_are_those_of_botocore() {
    let vectors: Sigv4Post = read(include_str!("vectors/sigv4_post.json"));
    let credentials = AwsCredentials::all(vectors.credentials);
    let keys = sigv4::SigningKeys::new();
    assert!(vectors.cases.len() > 100);
    for (number, case) in vectors.cases.iter().enumerate() {
        let form = form_of(&case.form);
        let request = sigv4_post::PostRequest {
            bucket: &case.bucket,
            key: match case.key_is.as_str() {
                "exact" => sigv4_post::PostKey::Exact(&case.key),
                _ => sigv4_post::PostKey::Prefix(&case.key),
            },
            form: &form,
        };
        let credentials = &credentials[case.credentials];
        let now = moment(case.now);
        let key = keys.get(&credentials.secret_key, now, &case.region);
        let expires = Duration::from_secs(case.expires);
        let post = sigv4_post::policy(&request, credentials, &key, now, expires).unwrap();
        assert_same_fields(number, &post.fields, &case.fields);

        let bucket = case.path_style.then_some(case.bucket.as_str());
        let url = sigv4_post::url(&endpoint(&case.endpoint), bucket).unwrap();
        assert_same(number, &url, &case.url);
    }
}

#[derive(Deserialize)]
struct Gcs {
    accounts: Vec<String>,
    cases: Vec<GcsCase>,
}

#[derive(Deserialize)]
struct GcsCase {
    account: usize,
    method: String,
    endpoint: String,
    path: String,
    query: Pairs,
    headers: Pairs,
    now: i64,
    expires: u64,
    url: String,
}

fn service_account(json: &str) -> gcs::ServiceAccount {
    gcs::ServiceAccount::from_json(&Secret::from(json)).unwrap()
}

#[test]
fn gcs_urls_are_those_of_google_cloud_storage() {
    let vectors: Gcs = read(include_str!("vectors/gcs.json"));
    let accounts: Vec<_> = vectors
        .accounts
        .iter()
        .map(|json| service_account(json))
        .collect();
    assert!(vectors.cases.len() > 200);
    for (number, case) in vectors.cases.iter().enumerate() {
        let request = gcs::Request {
            method: &case.method,
            endpoint: &endpoint(&case.endpoint),
            path: &case.path,
            query: &case.query,
            headers: &case.headers,
        };
        let url = gcs::presign(
            &request,
            &accounts[case.account],
            moment(case.now),
            Duration::from_secs(case.expires),
        )
        .unwrap();
        assert_same(number, &url, &case.url);
    }
}

#[derive(Deserialize)]
struct GcsPost {
    account: String,
    cases: Vec<GcsPostCase>,
}

#[derive(Deserialize)]
struct GcsPostCase {
    endpoint: String,
    path_style: bool,
    bucket: String,
    key: String,
    form: Vec<Step>,
    now: i64,
    expires: u64,
    url: String,
    fields: Pairs,
}

#[test]
fn gcs_forms_are_those_of_google_cloud_storage() {
    let vectors: GcsPost = read(include_str!("vectors/gcs_post.json"));
    let account = service_account(&vectors.account);
    assert!(vectors.cases.len() >= 100);
    for (number, case) in vectors.cases.iter().enumerate() {
        let form = form_of(&case.form);
        let request = gcs_post::PostRequest {
            bucket: &case.bucket,
            key: gcs_post::PostKey::Exact(&case.key),
            form: &form,
        };
        let expires = Duration::from_secs(case.expires);
        let post = gcs_post::policy(&request, &account, moment(case.now), expires).unwrap();
        assert_same_fields(number, &post.fields, &case.fields);

        let bucket = case.path_style.then_some(case.bucket.as_str());
        let url = gcs_post::url(&endpoint(&case.endpoint), bucket).unwrap();
        assert_same(number, &url, &case.url);
    }
}

#[derive(Deserialize)]
struct Azure {
    version: String,
    cases: Vec<AzureCase>,
}

#[derive(Deserialize)]
struct AzureCase {
    account: String,
    account_key: String,
    endpoint: String,
    container: String,
    blob: String,
    permissions: String,
    protocol: String,
    start: Option<i64>,
    ip: Option<String>,
    cache_control: Option<String>,
    content_disposition: Option<String>,
    content_encoding: Option<String>,
    content_language: Option<String>,
    content_type: Option<String>,
    now: i64,
    expires: u64,
    url: String,
}

#[test]
fn azure_urls_are_those_of_azure_storage_blob() {
    let vectors: Azure = read(include_str!("vectors/azure.json"));
    assert_eq!(vectors.version, azure::SAS_VERSION);
    assert!(vectors.cases.len() >= 300);
    for (number, case) in vectors.cases.iter().enumerate() {
        let sas = azure::Sas {
            starts_at: case.start.map(moment),
            ip: case.ip.as_deref(),
            protocol: match case.protocol.as_str() {
                "https" => azure::Protocol::Https,
                _ => azure::Protocol::HttpsOrHttp,
            },
            cache_control: case.cache_control.as_deref(),
            content_disposition: case.content_disposition.as_deref(),
            content_encoding: case.content_encoding.as_deref(),
            content_language: case.content_language.as_deref(),
            content_type: case.content_type.as_deref(),
            ..azure::Sas::new(
                &case.account,
                &case.container,
                &case.blob,
                &case.permissions,
            )
        };
        let url = azure::url(
            &endpoint(&case.endpoint),
            &sas,
            &Secret::from(case.account_key.as_str()),
            moment(case.now),
            Duration::from_secs(case.expires),
        )
        .unwrap();
        assert_same(number, &url, &case.url);
    }
}

#[derive(Deserialize)]
struct CloudFront {
    keys: Vec<CloudFrontKey>,
    cases: Vec<CloudFrontCase>,
}

#[derive(Deserialize)]
struct CloudFrontKey {
    id: String,
    pem: String,
}

/// Of one kind: `canned`, `custom` or `cookies`. Each has the members that it needs.
#[derive(Deserialize)]
struct CloudFrontCase {
    kind: String,
    key: usize,
    now: i64,
    expires: u64,
    #[serde(default)]
    url: String,
    #[serde(default)]
    signed: String,
    #[serde(default)]
    cookies: Pairs,
    #[serde(default)]
    resource: String,
    start: Option<i64>,
    ip: Option<String>,
}

#[test]
fn cloudfront_urls_and_cookies_are_those_of_botocore() {
    let vectors: CloudFront = read(include_str!("vectors/cloudfront.json"));
    let keys: Vec<_> = vectors
        .keys
        .iter()
        .map(|key| cloudfront::Key::from_pem(key.id.as_str(), &key.pem).unwrap())
        .collect();
    assert!(vectors.cases.len() >= 180);
    for (number, case) in vectors.cases.iter().enumerate() {
        let key = &keys[case.key];
        let now = moment(case.now);
        let expires = Duration::from_secs(case.expires);
        let policy = cloudfront::Policy {
            resource: &case.resource,
            starts_at: case.start.map(moment),
            source_ip: case.ip.as_deref(),
        };
        match case.kind.as_str() {
            "canned" => {
                let ours = cloudfront::canned_url(key, &case.url, now, expires).unwrap();
                assert_same(number, &ours, &case.signed);
            }
            "custom" => {
                let ours = cloudfront::custom_url(key, &case.url, &policy, now, expires).unwrap();
                assert_same(number, &ours, &case.signed);
            }
            "cookies" => {
                let ours = cloudfront::cookies(key, &policy, now, expires).unwrap();
                assert_same_fields(number, &ours, &case.cookies);
            }
            other => panic!("no kind is called {other}"),
        }
    }
}
