// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! A multipart upload to S3 that ends under a condition.
//!
//! S3 takes `If-None-Match` and `If-Match` with the request that ends an upload; `object_store` never
//! sends them. So the whole upload is made of requests of our own. It refuses to try the last one again
//! when its answer was lost: the second would find the first one's object, and call it somebody else's.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use http::{Method, StatusCode};
use object_store::client::HttpRequestBody;
use object_store::path::Path;
use object_store::{
    Attribute, Attributes, MultipartUpload, PutMultipartOptions, PutPayload, PutResult, UploadPart,
};
use serde::Deserialize;

use crate::error::StorageError;
use crate::storage::Storage;
use crate::upload::options::Condition;
use crate::upload::xml_api::{Answer, Call, Named, send};

/// The operation, as errors name it.
const WRITE: &str = "write";

/// Begins an upload: one request.
pub(super) async fn begin(
    storage: &Storage,
    path: &Path,
    options: PutMultipartOptions,
    condition: &Condition,
) -> object_store::Result<Box<dyn MultipartUpload>> {
    let target = Target {
        storage: storage.clone(),
        key: path.to_string(),
    };
    let id = target.begin(&options.attributes).await.map_err(lifted)?;
    Ok(Box::new(ConditionalUpload {
        target: Arc::new(target),
        id: Arc::from(id),
        condition: condition.clone(),
        parts: Arc::default(),
        part_count: 0,
    }))
}

/// The object that is uploaded.
struct Target {
    storage: Storage,
    key: String,
}

/// The parts that arrived: their numbers, from 1 on, and what the service calls them.
type Arrived = Arc<Mutex<Vec<(usize, String)>>>;

/// An upload that was begun.
struct ConditionalUpload {
    target: Arc<Target>,
    id: Arc<str>,
    condition: Condition,
    parts: Arrived,
    part_count: usize,
}

impl fmt::Debug for ConditionalUpload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ConditionalUpload")
            .field("key", &self.target.key)
            .field("part_count", &self.part_count)
            .finish_non_exhaustive()
    }
}

#[async_trait]
impl MultipartUpload for ConditionalUpload {
    fn put_part(&mut self, data: PutPayload) -> UploadPart {
        self.part_count += 1;
        let number = self.part_count;
        let (target, id) = (Arc::clone(&self.target), Arc::clone(&self.id));
        let parts = Arc::clone(&self.parts);
        Box::pin(async move {
            let etag = target.put_part(&id, number, data).await.map_err(lifted)?;
            parts
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .push((number, etag));
            Ok(())
        })
    }

    async fn complete(&mut self) -> object_store::Result<PutResult> {
        let mut parts = self
            .parts
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        parts.sort_unstable();
        if parts.len() != self.part_count {
            return Err(lifted(StorageError::option(
                "upload",
                "a part did not arrive",
            )));
        }
        self.target
            .complete(&self.id, &parts, &self.condition)
            .await
            .map_err(lifted)
    }

    async fn abort(&mut self) -> object_store::Result<()> {
        self.target.abort(&self.id).await.map_err(lifted)
    }
}

impl Target {
    fn call(&self, method: Method, query: Vec<(String, String)>) -> Call<'_> {
        Call {
            operation: WRITE,
            method,
            key: Some(&self.key),
            query,
            headers: Vec::new(),
            body: HttpRequestBody::empty(),
            is_idempotent: true,
        }
    }

    fn named(&self) -> Named<'_> {
        Named {
            operation: WRITE,
            key: &self.key,
        }
    }

    async fn begin(&self, attributes: &Attributes) -> Result<String, StorageError> {
        let mut call = self.call(Method::POST, vec![("uploads".to_owned(), String::new())]);
        call.headers = headers(attributes);
        let answer = send(&self.storage, &call)
            .await?
            .success(&self.storage, self.named())?;
        let begun: Begun = self.parse(&answer)?;
        Ok(begun.upload_id)
    }

    async fn put_part(
        &self,
        id: &str,
        number: usize,
        data: PutPayload,
    ) -> Result<String, StorageError> {
        let query = vec![
            ("partNumber".to_owned(), number.to_string()),
            ("uploadId".to_owned(), id.to_owned()),
        ];
        let mut call = self.call(Method::PUT, query);
        call.body = data.into();
        let answer = send(&self.storage, &call)
            .await?
            .success(&self.storage, self.named())?;
        answer
            .headers
            .get(http::header::ETAG)
            .and_then(|etag| etag.to_str().ok())
            .map(str::to_owned)
            .ok_or_else(|| self.malformed("the answer to a part has no ETag"))
    }

    async fn complete(
        &self,
        id: &str,
        parts: &[(usize, String)],
        condition: &Condition,
    ) -> Result<PutResult, StorageError> {
        let mut call = self.call(Method::POST, vec![("uploadId".to_owned(), id.to_owned())]);
        call.is_idempotent = false;
        call.body = completion(parts).into();
        match condition {
            Condition::None => {}
            Condition::Absent => call
                .headers
                .push(("if-none-match".to_owned(), "*".to_owned())),
            Condition::ETag(etag) => call.headers.push(("if-match".to_owned(), etag.clone())),
        }
        let answer = send(&self.storage, &call).await?;
        if !answer.status.is_success() {
            return Err(self.refused(answer, condition));
        }
        // The service may find out that it failed after it said 200.
        let version = answer
            .headers
            .get("x-amz-version-id")
            .and_then(|version| version.to_str().ok())
            .map(str::to_owned);
        let completed: Completed = match self.parse(&answer) {
            Ok(completed) => completed,
            Err(error) => {
                return Err(match answer.code().as_deref() {
                    Some("PreconditionFailed") => self.condition_failed(condition),
                    Some(_) => StorageError::Unavailable {
                        operation: WRITE,
                        bucket: self.storage.bucket_name().to_owned(),
                        key: self.key.clone(),
                        source: Box::new(error),
                    },
                    None => error,
                });
            }
        };
        Ok(PutResult {
            e_tag: Some(completed.e_tag),
            version,
            extensions: object_store::Extensions::new(),
        })
    }

    async fn abort(&self, id: &str) -> Result<(), StorageError> {
        let call = self.call(Method::DELETE, vec![("uploadId".to_owned(), id.to_owned())]);
        let answer = send(&self.storage, &call).await?;
        if answer.status == StatusCode::NOT_FOUND {
            return Ok(());
        }
        answer.success(&self.storage, self.named()).map(drop)
    }

    /// Why the end of an upload was refused.
    fn refused(&self, answer: Answer, condition: &Condition) -> StorageError {
        match (answer.status, answer.code().as_deref()) {
            // With `NoSuchKey` there is no object that could have the ETag.
            (StatusCode::PRECONDITION_FAILED, _) | (StatusCode::NOT_FOUND, Some("NoSuchKey")) => {
                self.condition_failed(condition)
            }
            // Somebody else was writing the object at the same time. The parts are lost.
            (StatusCode::CONFLICT, _) => StorageError::Unavailable {
                operation: WRITE,
                bucket: self.storage.bucket_name().to_owned(),
                key: self.key.clone(),
                source: "somebody else wrote the object at the same time".into(),
            },
            _ => answer.into_error(&self.storage, self.named()),
        }
    }

    fn condition_failed(&self, condition: &Condition) -> StorageError {
        let bucket = self.storage.bucket_name().to_owned();
        let key = self.key.clone();
        match condition {
            Condition::Absent => StorageError::AlreadyExists { bucket, key },
            _ => StorageError::PreconditionFailed { bucket, key },
        }
    }

    fn parse<T: serde::de::DeserializeOwned>(&self, answer: &Answer) -> Result<T, StorageError> {
        let text = std::str::from_utf8(&answer.body)
            .map_err(|_| self.malformed("the answer is no UTF-8"))?;
        quick_xml::de::from_str(text).map_err(|_| self.malformed("the answer is not as documented"))
    }

    fn malformed(&self, reason: &'static str) -> StorageError {
        StorageError::Other {
            operation: WRITE,
            bucket: self.storage.bucket_name().to_owned(),
            key: self.key.clone(),
            source: reason.into(),
        }
    }
}

/// The answer to the request that begins an upload.
#[derive(Deserialize)]
struct Begun {
    #[serde(rename = "UploadId")]
    upload_id: String,
}

/// The answer to the request that ends it.
#[derive(Deserialize)]
struct Completed {
    #[serde(rename = "ETag")]
    e_tag: String,
}

/// An error of ours, in the type of the trait. It is taken out again where it arrives.
fn lifted(error: StorageError) -> object_store::Error {
    object_store::Error::Generic {
        store: "S3",
        source: Box::new(error),
    }
}

/// The attributes as headers of S3.
fn headers(attributes: &Attributes) -> Vec<(String, String)> {
    let mut headers = Vec::with_capacity(attributes.len());
    for (attribute, value) in attributes {
        let name = match attribute {
            Attribute::ContentType => "content-type".to_owned(),
            Attribute::ContentDisposition => "content-disposition".to_owned(),
            Attribute::CacheControl => "cache-control".to_owned(),
            Attribute::Metadata(name) => format!("x-amz-meta-{name}"),
            // None of the others is ever set.
            _ => continue,
        };
        headers.push((name, value.to_string()));
    }
    headers
}

/// The list of parts that ends an upload.
fn completion(parts: &[(usize, String)]) -> String {
    let mut body = String::from("<CompleteMultipartUpload>");
    for (number, etag) in parts {
        body.push_str("<Part><PartNumber>");
        body.push_str(&number.to_string());
        body.push_str("</PartNumber><ETag>");
        for c in etag.chars() {
            match c {
                '&' => body.push_str("&amp;"),
                '<' => body.push_str("&lt;"),
                '>' => body.push_str("&gt;"),
                '"' => body.push_str("&quot;"),
                c => body.push(c),
            }
        }
        body.push_str("</ETag></Part>");
    }
    body.push_str("</CompleteMultipartUpload>");
    body
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_listed_with_their_etags_escaped() {
        assert_eq!(
            completion(&[(1, "\"a\"".to_owned()), (2, "<&>".to_owned())]),
            "<CompleteMultipartUpload><Part><PartNumber>1</PartNumber><ETag>&quot;a&quot;</ETag></Part>\
             <Part><PartNumber>2</PartNumber><ETag>&lt;&amp;&gt;</ETag></Part></CompleteMultipartUpload>"
        );
    }

    #[test]
    fn answers_are_read_and_errors_are_not_taken_for_them() {
        let begun: Begun = quick_xml::de::from_str(
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\
             <InitiateMultipartUploadResult xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">\
             <Bucket>b</Bucket><Key>k</Key><UploadId>u-1</UploadId></InitiateMultipartUploadResult>",
        )
        .unwrap();
        assert_eq!(begun.upload_id, "u-1");
        let completed: Completed = quick_xml::de::from_str(
            "<CompleteMultipartUploadResult><ETag>&quot;x-2&quot;</ETag></CompleteMultipartUploadResult>",
        )
        .unwrap();
        assert_eq!(completed.e_tag, "\"x-2\"");
        let failed = "<Error><Code>InternalError</Code></Error>";
        assert!(quick_xml::de::from_str::<Completed>(failed).is_err());
    }
}
