// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! The sweep of S3 and GCS: lists unfinished uploads, page by page, and aborts those that are old.

use std::time::Duration;

use futures_util::StreamExt;
use http::{Method, StatusCode};
use object_store::client::HttpRequestBody;
use serde::Deserialize;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::{Swept, SweptUpload};
use crate::error::StorageError;
use crate::storage::Storage;
use crate::upload::xml_api::{Call, Named, send};

/// How many uploads a page has at most.
const PAGE_SIZE: usize = 1_000;

/// The most pages of one sweep. The next sweep goes on, since what was swept is in no page any more.
const PAGES_MAX: usize = 1_000;

/// How many uploads are aborted at once.
const ABORTS_PARALLEL: usize = 8;

/// The operation, as errors name it.
const SWEEP: &str = "sweep";

/// Aborts the uploads in reach that are older.
pub(super) async fn sweep(storage: &Storage, older_than: Duration) -> Result<Swept, StorageError> {
    let begun_before = OffsetDateTime::now_utc()
        .checked_sub(time::Duration::try_from(older_than).unwrap_or(time::Duration::MAX));
    let mut swept = Swept::default();
    let Some(begun_before) = begun_before else {
        return Ok(swept);
    };
    let mut marker = None;
    for _ in 0..PAGES_MAX {
        let listing = page(storage, marker.as_ref()).await?;
        let next = listing.next(marker.as_ref());
        let aborts: Vec<_> = listing
            .stale(storage.scope(), begun_before)
            .map(|upload| abort(storage, upload))
            .collect();
        let aborted: Vec<_> = futures_util::stream::iter(aborts)
            .buffer_unordered(ABORTS_PARALLEL)
            .collect()
            .await;
        swept.aborted.extend(aborted.into_iter().flatten());
        match next {
            Some(next) => marker = Some(next),
            None => break,
        }
    }
    Ok(swept)
}

/// Where a page of the list ended.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Marker {
    key: String,
    upload_id: String,
}

/// One page of unfinished uploads.
#[derive(Debug, Deserialize)]
struct Listing {
    #[serde(rename = "Upload", default)]
    uploads: Vec<Unfinished>,
    #[serde(rename = "IsTruncated", default)]
    is_truncated: bool,
    #[serde(rename = "NextKeyMarker", default)]
    next_key_marker: Option<String>,
    #[serde(rename = "NextUploadIdMarker", default)]
    next_upload_id_marker: Option<String>,
}

/// One unfinished upload.
#[derive(Clone, Debug, Deserialize)]
struct Unfinished {
    #[serde(rename = "Key")]
    key: String,
    #[serde(rename = "UploadId")]
    upload_id: String,
    #[serde(rename = "Initiated")]
    initiated: String,
}

impl Listing {
    /// Where the next page begins. A service that says the same place again would never end.
    fn next(&self, marker: Option<&Marker>) -> Option<Marker> {
        if !self.is_truncated {
            return None;
        }
        let next = Marker {
            key: self.next_key_marker.clone().filter(|key| !key.is_empty())?,
            upload_id: self.next_upload_id_marker.clone().unwrap_or_default(),
        };
        (Some(&next) != marker).then_some(next)
    }

    /// The uploads that were begun before this time, under keys that begin so. One whose time cannot be
    /// read is not taken for an old one.
    fn stale(
        self,
        scope: &str,
        begun_before: OffsetDateTime,
    ) -> impl Iterator<Item = (Unfinished, OffsetDateTime)> {
        self.uploads.into_iter().filter_map(move |upload| {
            let begun_at = OffsetDateTime::parse(upload.initiated.trim(), &Rfc3339).ok()?;
            let is_stale = begun_at < begun_before && upload.key.starts_with(scope);
            is_stale.then_some((upload, begun_at))
        })
    }
}

async fn page(storage: &Storage, marker: Option<&Marker>) -> Result<Listing, StorageError> {
    let mut query = vec![
        ("uploads".to_owned(), String::new()),
        ("max-uploads".to_owned(), PAGE_SIZE.to_string()),
    ];
    if !storage.scope().is_empty() {
        query.push(("prefix".to_owned(), storage.scope().to_owned()));
    }
    if let Some(marker) = marker {
        query.push(("key-marker".to_owned(), marker.key.clone()));
        if !marker.upload_id.is_empty() {
            query.push(("upload-id-marker".to_owned(), marker.upload_id.clone()));
        }
    }
    let named = Named {
        operation: SWEEP,
        key: "",
    };
    let answer = send(storage, &call(Method::GET, None, query))
        .await?
        .success(storage, named)?;
    let malformed = |source: Box<dyn std::error::Error + Send + Sync>| StorageError::Other {
        operation: SWEEP,
        bucket: storage.bucket_name().to_owned(),
        key: String::new(),
        source,
    };
    let text = std::str::from_utf8(&answer.body).map_err(|error| malformed(error.into()))?;
    quick_xml::de::from_str(text).map_err(|error| malformed(error.into()))
}

/// Aborts one upload. One that ended meanwhile is none of the swept.
async fn abort(
    storage: &Storage,
    (upload, begun_at): (Unfinished, OffsetDateTime),
) -> Option<SweptUpload> {
    let query = vec![("uploadId".to_owned(), upload.upload_id.clone())];
    let sent = send(storage, &call(Method::DELETE, Some(&upload.key), query)).await;
    let named = Named {
        operation: SWEEP,
        key: &upload.key,
    };
    match sent {
        Ok(answer) if answer.status == StatusCode::NOT_FOUND => return None,
        Ok(answer) => {
            if let Err(error) = answer.success(storage, named) {
                tracing::warn!(%error, "an upload was not aborted; the next sweep tries again");
                return None;
            }
        }
        Err(error) => {
            tracing::warn!(%error, "an upload was not aborted; the next sweep tries again");
            return None;
        }
    }
    Some(SweptUpload {
        key: storage.strip(&upload.key),
        upload_id: upload.upload_id,
        begun_at: Some(begun_at),
    })
}

fn call(method: Method, key: Option<&str>, query: Vec<(String, String)>) -> Call<'_> {
    Call {
        operation: SWEEP,
        method,
        key,
        query,
        headers: Vec::new(),
        body: HttpRequestBody::empty(),
        is_idempotent: true,
    }
}

#[cfg(test)]
mod tests {
    use time::macros::datetime;

    use super::*;

    const PAGE: &str = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\
        <ListMultipartUploadsResult xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">\
        <Bucket>b</Bucket><KeyMarker/><UploadIdMarker/>\
        <NextKeyMarker>org/a/2 &amp; 3</NextKeyMarker><NextUploadIdMarker>u-2</NextUploadIdMarker>\
        <MaxUploads>2</MaxUploads><IsTruncated>true</IsTruncated>\
        <Upload><Key>org/a/1</Key><UploadId>u-1</UploadId>\
        <Initiator><ID>i</ID></Initiator><Owner><ID>o</ID></Owner>\
        <StorageClass>STANDARD</StorageClass><Initiated>2026-01-01T00:00:00.000Z</Initiated></Upload>\
        <Upload><Key>org/a/2 &amp; 3</Key><UploadId>u-2</UploadId>\
        <Initiated>2026-01-03T00:00:00.000Z</Initiated></Upload>\
        </ListMultipartUploadsResult>";

    const EMPTY: &str = "<ListMultipartUploadsResult><Bucket>b</Bucket><KeyMarker></KeyMarker>\
        <IsTruncated>false</IsTruncated></ListMultipartUploadsResult>";

    fn listing(text: &str) -> Listing {
        quick_xml::de::from_str(text).unwrap()
    }

    #[test]
    fn only_old_uploads_in_reach_are_stale() {
        let ids = |scope: &str, before| -> Vec<String> {
            let stale = listing(PAGE).stale(scope, before);
            stale.map(|(upload, _)| upload.upload_id).collect()
        };
        assert_eq!(ids("", datetime!(2026-01-02 00:00 UTC)), ["u-1"]);
        assert_eq!(
            ids("org/a/", datetime!(2026-02-01 00:00 UTC)),
            ["u-1", "u-2"]
        );
        assert!(ids("", datetime!(2026-01-01 00:00 UTC)).is_empty());
        assert!(ids("org/b/", datetime!(2026-02-01 00:00 UTC)).is_empty());
    }

    #[test]
    fn pages_go_on_where_they_ended_and_never_in_a_circle() {
        let next = listing(PAGE).next(None).unwrap();
        assert_eq!(
            (next.key.as_str(), next.upload_id.as_str()),
            ("org/a/2 & 3", "u-2")
        );
        assert_eq!(listing(PAGE).next(Some(&next)), None);
        assert_eq!(listing(EMPTY).next(None), None);
        assert!(listing(EMPTY).uploads.is_empty());
    }
}
