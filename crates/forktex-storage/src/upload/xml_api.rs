// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! Requests of the XML API of S3 and GCS that `object_store` has no call for: lists of unfinished uploads,
//! and uploads that end under a condition.
//!
//! Each is a presigned URL of our own signers, sent over the storage's one HTTP client, and repeated where
//! the service refused it for now. A URL is never in an error: its query is a signature.

use std::fmt;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures_util::TryStreamExt;
use http::{HeaderMap, Method, StatusCode};
use object_store::client::{HttpError, HttpRequestBody, HttpResponse};
use time::OffsetDateTime;

use crate::backend::Backend;
use crate::error::StorageError;
use crate::storage::Storage;

/// How long a signature lives: a slow part must arrive within it.
const SIGNED_FOR: Duration = Duration::from_hours(1);

/// How often a request is sent at most.
const ATTEMPTS_MAX: u32 = 5;

/// The first pause before it is sent again. Each pause is up to twice as long as the one before.
const PAUSE: Duration = Duration::from_millis(100);

/// The most bytes of an answer: a full page of unfinished uploads has less than 2 MiB.
const ANSWER_BYTES_MAX: usize = 8 * 1024 * 1024;

/// The most characters of what a service calls an error.
const CODE_CHARACTERS_MAX: usize = 100;

/// A request.
pub(crate) struct Call<'a> {
    /// What it does, as errors name it.
    pub(crate) operation: &'static str,
    pub(crate) method: Method,
    /// The bucket's key; without it the bucket is meant.
    pub(crate) key: Option<&'a str>,
    pub(crate) query: Vec<(String, String)>,
    /// Names in lower case.
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: HttpRequestBody,
    /// Whether it may be sent again when nobody knows whether it was done.
    pub(crate) is_idempotent: bool,
}

/// What a service answered, whatever its status.
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    #[cfg_attr(
        not(feature = "aws"),
        allow(dead_code, reason = "only uploads to S3 read them")
    )]
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Answer {
    /// The answer, if its status is a success.
    pub(crate) fn success(self, storage: &Storage, call: Named<'_>) -> Result<Self, StorageError> {
        if self.status.is_success() {
            return Ok(self);
        }
        Err(self.into_error(storage, call))
    }

    /// The answer as an error.
    pub(crate) fn into_error(self, storage: &Storage, call: Named<'_>) -> StorageError {
        let status = self.status.as_u16();
        let source = Refused {
            status,
            code: self.code(),
        };
        StorageError::from_status(
            call.operation,
            storage.bucket_name(),
            call.key,
            status,
            Box::new(source),
        )
    }

    /// What the service calls its error.
    pub(crate) fn code(&self) -> Option<String> {
        let text = std::str::from_utf8(&self.body).ok()?;
        let (_, rest) = text.split_once("<Code>")?;
        let (code, _) = rest.split_once("</Code>")?;
        Some(code.chars().take(CODE_CHARACTERS_MAX).collect())
    }
}

/// What an error says of a call.
#[derive(Clone, Copy)]
pub(crate) struct Named<'a> {
    pub(crate) operation: &'static str,
    pub(crate) key: &'a str,
}

/// What a service answered that is no success.
#[derive(Debug)]
struct Refused {
    status: u16,
    code: Option<String>,
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the service answered with status {}", self.status)?;
        match &self.code {
            Some(code) => write!(f, " and calls it {code}"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for Refused {}

/// Sends a call, again where the service wants fewer requests or fails inside, at most five times in all
/// and with pauses that are drawn at random.
pub(crate) async fn send(storage: &Storage, call: &Call<'_>) -> Result<Answer, StorageError> {
    let mut attempt = 1;
    loop {
        let result = send_once(storage, call).await;
        let again = match &result {
            Ok(answer) => match answer.status.as_u16() {
                429 | 503 => true,
                500 | 502 | 504 => call.is_idempotent,
                _ => false,
            },
            Err(Failure::Transport(_)) => call.is_idempotent,
            Err(Failure::Final(_)) => false,
        };
        if !again || attempt == ATTEMPTS_MAX {
            return result.map_err(|failure| failure.into_error(storage, call));
        }
        let longest = PAUSE * 2_u32.pow(attempt);
        let shortest = longest / 2;
        tokio::time::sleep(shortest + shortest.mul_f64(fastrand::f64())).await;
        attempt += 1;
    }
}

/// Why there is no answer.
enum Failure {
    /// The connection failed.
    Transport(HttpError),
    /// It cannot be sent, and never could.
    Final(StorageError),
}

impl Failure {
    fn into_error(self, storage: &Storage, call: &Call<'_>) -> StorageError {
        match self {
            Self::Final(error) => error,
            Self::Transport(error) => {
                let error = object_store::Error::Generic {
                    store: "http",
                    source: Box::new(error),
                };
                let key = call.key.unwrap_or_default();
                StorageError::from_store(call.operation, storage.bucket_name(), key, error)
            }
        }
    }
}

async fn send_once(storage: &Storage, call: &Call<'_>) -> Result<Answer, Failure> {
    let url = sign(storage, call).await.map_err(Failure::Final)?;
    let mut request = http::Request::builder()
        .method(call.method.clone())
        .uri(url)
        .header(http::header::CONTENT_LENGTH, call.body.content_length());
    for (name, value) in &call.headers {
        request = request.header(name, value);
    }
    let request = request
        .body(call.body.clone())
        .map_err(|error| Failure::Final(other(storage, call, error)))?;
    let client = match &storage.bucket_inner().backend {
        Backend::S3(backend) => backend.http.as_ref(),
        Backend::Gcs(backend) => backend.http.as_ref(),
        _ => None,
    };
    let client = client.ok_or_else(|| Failure::Final(unsupported(storage)))?;
    let response = client.execute(request).await.map_err(Failure::Transport)?;
    read(storage, call, response).await
}

/// Reads an answer up to its limit.
async fn read(
    storage: &Storage,
    call: &Call<'_>,
    response: HttpResponse,
) -> Result<Answer, Failure> {
    let (parts, body) = response.into_parts();
    let mut stream = body.bytes_stream();
    let mut body = BytesMut::new();
    while let Some(piece) = stream.try_next().await.map_err(Failure::Transport)? {
        if body.len() + piece.len() > ANSWER_BYTES_MAX {
            let error = std::io::Error::other("the answer has more than 8 MiB");
            return Err(Failure::Final(other(storage, call, error)));
        }
        body.extend_from_slice(&piece);
    }
    Ok(Answer {
        status: parts.status,
        headers: parts.headers,
        body: body.freeze(),
    })
}

/// The presigned URL of a call, by the real time: a service compares it with its own.
async fn sign(storage: &Storage, call: &Call<'_>) -> Result<String, StorageError> {
    let now = OffsetDateTime::now_utc();
    let signed = match &storage.bucket_inner().backend {
        Backend::S3(backend) => {
            let (credentials, key) = backend.signer(now).await?;
            let endpoint = if backend.path_style {
                backend.endpoint.clone()
            } else {
                before_the_host(&backend.endpoint, &backend.bucket)
            };
            let bucket = backend.path_style.then_some(backend.bucket.as_str());
            let path = path(bucket, call.key);
            let request = crate::sign::sigv4::Request {
                method: call.method.as_str(),
                endpoint: &endpoint,
                path: &path,
                query: &call.query,
                headers: &call.headers,
            };
            crate::sign::sigv4::presign(&request, &credentials, &key, now, SIGNED_FOR)
        }
        Backend::Gcs(backend) => {
            let Some(account) = &backend.signer else {
                return Err(unsupported(storage));
            };
            let path = path(Some(&backend.bucket), call.key);
            let request = crate::sign::sigv4::Request {
                method: call.method.as_str(),
                endpoint: &backend.endpoint,
                path: &path,
                query: &call.query,
                headers: &call.headers,
            };
            crate::sign::gcs::presign(&request, account, now, SIGNED_FOR)
        }
        _ => return Err(unsupported(storage)),
    };
    signed.map_err(|error| other(storage, call, error))
}

/// The endpoint with the bucket before its host.
fn before_the_host(endpoint: &url::Url, bucket: &str) -> url::Url {
    let mut url = endpoint.clone();
    let host = format!("{bucket}.{}", endpoint.host_str().unwrap_or_default());
    // It was possible when the client was built. Else the service refuses the signature.
    let _ = url.set_host(Some(&host));
    url
}

fn path(bucket: Option<&str>, key: Option<&str>) -> String {
    let mut path = String::new();
    for segment in [bucket, key].into_iter().flatten() {
        path.push('/');
        path.push_str(segment);
    }
    if path.is_empty() {
        path.push('/');
    }
    path
}

fn other<E>(storage: &Storage, call: &Call<'_>, error: E) -> StorageError
where
    E: std::error::Error + Send + Sync + 'static,
{
    StorageError::Other {
        operation: call.operation,
        bucket: storage.bucket_name().to_owned(),
        key: call.key.unwrap_or_default().to_owned(),
        source: Box::new(error),
    }
}

fn unsupported(storage: &Storage) -> StorageError {
    StorageError::unsupported(
        storage.backend(),
        "send requests of the XML API without a key that signs",
        "give the bucket a service account, or let a lifecycle rule of the bucket do it",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bucket_stands_before_the_key_or_before_the_host() {
        assert_eq!(path(Some("b"), Some("a/c")), "/b/a/c");
        assert_eq!(path(Some("b"), None), "/b");
        assert_eq!(path(None, Some("a")), "/a");
        assert_eq!(path(None, None), "/");
        let url = url::Url::parse("https://s3.example.com:8443").unwrap();
        assert_eq!(
            before_the_host(&url, "files").as_str(),
            "https://files.s3.example.com:8443/"
        );
    }

    #[test]
    fn the_code_of_an_error_is_read() {
        let answer = |body: &str| Answer {
            status: StatusCode::NOT_FOUND,
            headers: HeaderMap::new(),
            body: Bytes::copy_from_slice(body.as_bytes()),
        };
        let text = "<?xml version=\"1.0\"?><Error><Code>NoSuchUpload</Code></Error>";
        assert_eq!(answer(text).code().as_deref(), Some("NoSuchUpload"));
        assert_eq!(answer("").code(), None);
        assert_eq!(answer("<Code>").code(), None);
    }
}
