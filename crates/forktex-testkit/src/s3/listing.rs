// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! Lists of objects and of uploads, a page at a time.

use std::ops::Bound;

use s3s::dto::{
    CommonPrefix, EncodingType, ListMultipartUploadsInput, ListMultipartUploadsOutput,
    ListObjectsV2Input, ListObjectsV2Output, MultipartUpload, Object,
};
use s3s::{S3Result, s3_error};

use super::state::{Bucket, Store, Uploads, signed};

/// The most that a page holds.
const PAGE_MAX: usize = 1000;

pub(super) fn objects(store: &Store, input: ListObjectsV2Input) -> S3Result<ListObjectsV2Output> {
    let after = match (&input.continuation_token, &input.start_after) {
        (Some(token), _) => Position::parse(token)?,
        (None, Some(key)) => Position::Key(key.clone()),
        (None, None) => Position::Start,
    };
    let query = Query {
        prefix: input.prefix.as_deref().unwrap_or_default(),
        delimiter: input.delimiter.as_deref().filter(|text| !text.is_empty()),
        after,
        count_max: page_size(input.max_keys),
    };
    let page = store.with(&input.bucket, |bucket| Ok(query.page(bucket)))?;
    let text = Text::of(input.encoding_type.as_ref());
    let contents = page.objects.into_iter().map(|object| Object {
        key: object.key.map(|key| text.encode(key)),
        ..object
    });
    let prefixes = page.prefixes.into_iter().map(|prefix| CommonPrefix {
        prefix: Some(text.encode(prefix)),
    });
    let (contents, prefixes): (Vec<_>, Vec<_>) = (contents.collect(), prefixes.collect());
    Ok(ListObjectsV2Output {
        key_count: i32::try_from(contents.len() + prefixes.len()).ok(),
        max_keys: Some(input.max_keys.unwrap_or(1000)),
        is_truncated: Some(page.next.is_some()),
        next_continuation_token: page.next,
        contents: Some(contents),
        common_prefixes: Some(prefixes),
        name: Some(input.bucket),
        prefix: input.prefix.map(|prefix| text.encode(prefix)),
        delimiter: input.delimiter.map(|delimiter| text.encode(delimiter)),
        start_after: input.start_after.map(|key| text.encode(key)),
        continuation_token: input.continuation_token,
        encoding_type: input.encoding_type,
        ..ListObjectsV2Output::default()
    })
}

pub(super) fn uploads(
    store: &Store,
    input: ListMultipartUploadsInput,
) -> S3Result<ListMultipartUploadsOutput> {
    if input.delimiter.is_some() {
        return Err(s3_error!(
            NotImplemented,
            "uploads are listed without a delimiter"
        ));
    }
    let prefix = input.prefix.as_deref().unwrap_or_default();
    let key_marker = input.key_marker.as_deref().unwrap_or_default();
    let id_marker = input.upload_id_marker.as_deref();
    let count_max = page_size(input.max_uploads);
    let (mut found, is_truncated) = store.with(&input.bucket, |bucket| {
        let mut found = after_marker(&bucket.uploads, prefix, key_marker, id_marker);
        let is_truncated = found.len() > count_max;
        found.truncate(count_max);
        Ok((found, is_truncated && count_max > 0))
    })?;
    let last = found.last().filter(|_| is_truncated).cloned();
    let (next_key, next_id) = last
        .map(|last| (last.key, last.upload_id))
        .unwrap_or_default();
    let text = Text::of(input.encoding_type.as_ref());
    for upload in &mut found {
        upload.key = upload.key.take().map(|key| text.encode(key));
    }
    Ok(ListMultipartUploadsOutput {
        uploads: Some(found),
        is_truncated: Some(is_truncated),
        max_uploads: Some(input.max_uploads.unwrap_or(1000)),
        next_key_marker: next_key.map(|key| text.encode(key)),
        next_upload_id_marker: next_id,
        bucket: Some(input.bucket),
        key_marker: input.key_marker.map(|key| text.encode(key)),
        prefix: input.prefix.map(|prefix| text.encode(prefix)),
        upload_id_marker: input.upload_id_marker,
        encoding_type: input.encoding_type,
        ..ListMultipartUploadsOutput::default()
    })
}

/// The uploads of keys with `prefix` that come after the markers. The id counts only beside a key.
fn after_marker(
    uploads: &Uploads,
    prefix: &str,
    key_marker: &str,
    id_marker: Option<&str>,
) -> Vec<MultipartUpload> {
    let is_after = |key: &str, id: &str| match id_marker.filter(|_| !key_marker.is_empty()) {
        Some(marker) => (key, id) > (key_marker, marker),
        None => key > key_marker,
    };
    let found = uploads
        .iter()
        .filter(|((key, id), _)| key.starts_with(prefix) && is_after(key, id));
    let found = found.map(|((key, id), upload)| MultipartUpload {
        key: Some(key.clone()),
        upload_id: Some(id.clone()),
        initiated: Some(upload.initiated.into()),
        ..MultipartUpload::default()
    });
    found.collect()
}

/// Where a page begins: after a key, or after all keys with a common prefix.
enum Position {
    Start,
    Key(String),
    Prefix(String),
}

impl Position {
    /// From a token that `token` made.
    fn parse(token: &str) -> S3Result<Self> {
        if let Some(key) = token.strip_prefix("k:") {
            return Ok(Self::Key(key.to_owned()));
        }
        if let Some(prefix) = token.strip_prefix("p:") {
            return Ok(Self::Prefix(prefix.to_owned()));
        }
        Err(s3_error!(
            InvalidArgument,
            "The continuation token provided is incorrect"
        ))
    }
}

struct Query<'a> {
    prefix: &'a str,
    delimiter: Option<&'a str>,
    after: Position,
    count_max: usize,
}

#[derive(Default)]
struct Page {
    objects: Vec<Object>,
    prefixes: Vec<String>,
    next: Option<String>,
}

impl Query<'_> {
    fn page(&self, bucket: &Bucket) -> Page {
        let mut page = Page::default();
        let mut last = None;
        let later = (self.begin(), Bound::<&str>::Unbounded);
        for (key, entry) in bucket.objects.range::<str, _>(later) {
            if !key.starts_with(self.prefix) {
                break;
            }
            let group = self.group(key);
            let is_listed = group.is_some() && group == page.prefixes.last().map(String::as_str);
            if is_listed || self.is_passed(key) {
                continue;
            }
            if page.objects.len() + page.prefixes.len() == self.count_max {
                page.next = last;
                break;
            }
            if let Some(group) = group {
                last = Some(format!("p:{group}"));
                page.prefixes.push(group.to_owned());
            } else {
                last = Some(format!("k:{key}"));
                page.objects.push(Object {
                    key: Some(key.clone()),
                    e_tag: Some(entry.e_tag()),
                    size: Some(signed(entry.size)),
                    last_modified: Some(entry.modified.into()),
                    ..Object::default()
                });
            }
        }
        page
    }

    /// The common prefix that stands for `key`.
    fn group<'k>(&self, key: &'k str) -> Option<&'k str> {
        let delimiter = self.delimiter?;
        let at = key.strip_prefix(self.prefix)?.find(delimiter)?;
        key.get(..self.prefix.len() + at + delimiter.len())
    }

    fn begin(&self) -> Bound<&str> {
        match &self.after {
            Position::Key(key) if key.as_str() >= self.prefix => Bound::Excluded(key),
            Position::Prefix(prefix) if prefix.as_str() >= self.prefix => Bound::Included(prefix),
            _ => Bound::Included(self.prefix),
        }
    }

    fn is_passed(&self, key: &str) -> bool {
        matches!(&self.after, Position::Prefix(prefix) if key.starts_with(prefix.as_str()))
    }
}

/// How keys are written in an answer.
#[derive(Clone, Copy)]
enum Text {
    Plain,
    PercentEncoded,
}

impl Text {
    fn of(encoding: Option<&EncodingType>) -> Self {
        match encoding {
            Some(encoding) if encoding.as_str() == EncodingType::URL => Self::PercentEncoded,
            _ => Self::Plain,
        }
    }

    fn encode(self, text: String) -> String {
        match self {
            Self::Plain => text,
            Self::PercentEncoded => text.bytes().map(percent_encoded).collect(),
        }
    }
}

fn page_size(asked: Option<i32>) -> usize {
    asked.map_or(PAGE_MAX, |asked| {
        usize::try_from(asked).unwrap_or_default().min(PAGE_MAX)
    })
}

fn percent_encoded(byte: u8) -> String {
    if byte.is_ascii_alphanumeric() || b"-._~/".contains(&byte) {
        char::from(byte).to_string()
    } else {
        format!("%{byte:02X}")
    }
}
