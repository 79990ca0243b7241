// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! Objects: written, read, described, copied and deleted.

use std::ops::Range;

use data_encoding::HEXLOWER;
use hyper::HeaderMap;
use s3s::dto::{
    Checksum, ChecksumMode, CopyObjectInput, CopyObjectOutput, CopyObjectResult, CopySource,
    DeleteObjectInput, DeleteObjectOutput, DeleteObjectsInput, DeleteObjectsOutput, DeletedObject,
    GetObjectInput, GetObjectOutput, HeadObjectInput, HeadObjectOutput, MetadataDirective,
    PutObjectInput, PutObjectOutput,
};
use s3s::{S3Result, s3_error};

use super::blob::{self, Expected};
use super::conditions::{ReadConditions, WriteConditions};
use super::state::{Entry, Store, attributes_of, now, signed};

/// What S3 says of an object whose type nobody gave.
const UNKNOWN_TYPE: &str = "binary/octet-stream";

pub(super) async fn put(store: &Store, input: PutObjectInput) -> S3Result<PutObjectOutput> {
    let body = input.body.ok_or_else(|| s3_error!(IncompleteBody))?;
    let folder = store.with(&input.bucket, |bucket| Ok(bucket.objects_folder()))?;
    let expected = Expected {
        md5: input.content_md5,
        checksums: Checksum {
            checksum_crc32: input.checksum_crc32,
            checksum_crc32c: input.checksum_crc32c,
            checksum_crc64nvme: input.checksum_crc64nvme,
            checksum_sha1: input.checksum_sha1,
            checksum_sha256: input.checksum_sha256,
            checksum_type: None,
        },
        algorithm: input.checksum_algorithm,
    };
    let conditions = WriteConditions {
        if_match: input.if_match,
        if_none_match: input.if_none_match,
    };
    let received = blob::receive(&folder, body, &expected).await?;
    let entry = Entry::new(
        vec![received.blob],
        HEXLOWER.encode(&received.md5),
        attributes_of!(input),
        received.checksums.clone(),
    );
    let e_tag = entry.e_tag();
    store.with(&input.bucket, |bucket| {
        conditions.check(bucket.objects.get(&input.key))?;
        bucket.objects.insert(input.key, entry);
        Ok(())
    })?;
    Ok(PutObjectOutput {
        e_tag: Some(e_tag),
        checksum_crc32: received.checksums.checksum_crc32,
        checksum_crc32c: received.checksums.checksum_crc32c,
        checksum_crc64nvme: received.checksums.checksum_crc64nvme,
        checksum_sha1: received.checksums.checksum_sha1,
        checksum_sha256: received.checksums.checksum_sha256,
        ..PutObjectOutput::default()
    })
}

/// The library puts the headers that the request overrides into the answer.
pub(super) fn get(store: &Store, input: GetObjectInput) -> S3Result<GetObjectOutput> {
    check_version(input.version_id.as_deref())?;
    let entry = store.entry(&input.bucket, &input.key)?;
    let conditions = ReadConditions {
        if_match: input.if_match,
        if_none_match: input.if_none_match,
        if_modified_since: input.if_modified_since,
        if_unmodified_since: input.if_unmodified_since,
    };
    conditions.check(&entry)?;
    let range = requested(input.range, entry.size)?;
    let is_whole = range == (0..entry.size);
    let checksums = shown(&entry, input.checksum_mode.as_ref(), is_whole);
    let content_range = input.range.map(|_| {
        let last = range.end.saturating_sub(1);
        format!("bytes {}-{last}/{}", range.start, entry.size)
    });
    Ok(GetObjectOutput {
        accept_ranges: Some("bytes".to_owned()),
        body: Some(blob::read(&entry.pieces, &range)),
        content_length: Some(signed(range.end - range.start)),
        content_range,
        e_tag: Some(entry.e_tag()),
        last_modified: Some(entry.modified.into()),
        checksum_crc32: checksums.checksum_crc32,
        checksum_crc32c: checksums.checksum_crc32c,
        checksum_crc64nvme: checksums.checksum_crc64nvme,
        checksum_sha1: checksums.checksum_sha1,
        checksum_sha256: checksums.checksum_sha256,
        metadata: entry.attributes.metadata,
        cache_control: entry.attributes.cache_control,
        content_disposition: entry.attributes.content_disposition,
        content_encoding: entry.attributes.content_encoding,
        content_language: entry.attributes.content_language,
        content_type: Some(
            entry
                .attributes
                .content_type
                .unwrap_or_else(|| UNKNOWN_TYPE.to_owned()),
        ),
        expires: entry.attributes.expires,
        website_redirect_location: entry.attributes.website_redirect_location,
        ..GetObjectOutput::default()
    })
}

pub(super) fn head(store: &Store, input: HeadObjectInput) -> S3Result<HeadObjectOutput> {
    check_version(input.version_id.as_deref())?;
    let entry = store.entry(&input.bucket, &input.key)?;
    let conditions = ReadConditions {
        if_match: input.if_match,
        if_none_match: input.if_none_match,
        if_modified_since: input.if_modified_since,
        if_unmodified_since: input.if_unmodified_since,
    };
    conditions.check(&entry)?;
    let checksums = shown(&entry, input.checksum_mode.as_ref(), true);
    let e_tag = entry.e_tag();
    let attributes = entry.attributes;
    Ok(HeadObjectOutput {
        accept_ranges: Some("bytes".to_owned()),
        content_length: Some(signed(entry.size)),
        e_tag: Some(e_tag),
        last_modified: Some(entry.modified.into()),
        checksum_crc32: checksums.checksum_crc32,
        checksum_crc32c: checksums.checksum_crc32c,
        checksum_crc64nvme: checksums.checksum_crc64nvme,
        checksum_sha1: checksums.checksum_sha1,
        checksum_sha256: checksums.checksum_sha256,
        metadata: attributes.metadata,
        cache_control: input.response_cache_control.or(attributes.cache_control),
        content_disposition: input
            .response_content_disposition
            .or(attributes.content_disposition),
        content_encoding: input
            .response_content_encoding
            .or(attributes.content_encoding),
        content_language: input
            .response_content_language
            .or(attributes.content_language),
        content_type: input
            .response_content_type
            .or(attributes.content_type)
            .or_else(|| Some(UNKNOWN_TYPE.to_owned())),
        expires: input.response_expires.or(attributes.expires),
        website_redirect_location: attributes.website_redirect_location,
        ..HeadObjectOutput::default()
    })
}

pub(super) fn copy(
    store: &Store,
    input: CopyObjectInput,
    headers: &HeaderMap,
) -> S3Result<CopyObjectOutput> {
    let (from_bucket, from_key) = source(&input.copy_source)?;
    let mut entry = store.entry(from_bucket, from_key)?;
    let conditions = ReadConditions {
        if_match: input.copy_source_if_match,
        if_none_match: input.copy_source_if_none_match,
        if_modified_since: input.copy_source_if_modified_since,
        if_unmodified_since: input.copy_source_if_unmodified_since,
    };
    conditions.check_source(&entry)?;
    let directive = input.metadata_directive.as_ref();
    if directive.is_some_and(|directive| directive.as_str() == MetadataDirective::REPLACE) {
        entry.attributes = attributes_of!(input);
    } else if from_bucket == input.bucket && from_key == input.key {
        return Err(s3_error!(
            InvalidRequest,
            "This copy request is illegal because it is trying to copy an object to itself without \
             changing anything of it."
        ));
    }
    entry.modified = now();
    let copy_object_result = CopyObjectResult {
        e_tag: Some(entry.e_tag()),
        last_modified: Some(entry.modified.into()),
        ..CopyObjectResult::default()
    };
    let conditions = WriteConditions::from_headers(headers)?;
    store.with(&input.bucket, |bucket| {
        conditions.check(bucket.objects.get(&input.key))?;
        bucket.objects.insert(input.key, entry);
        Ok(())
    })?;
    Ok(CopyObjectOutput {
        copy_object_result: Some(copy_object_result),
        ..CopyObjectOutput::default()
    })
}

/// What is not there is deleted as well.
pub(super) fn delete(store: &Store, input: DeleteObjectInput) -> S3Result<DeleteObjectOutput> {
    check_version(input.version_id.as_deref())?;
    let conditions = WriteConditions {
        if_match: input.if_match,
        if_none_match: None,
    };
    store.with(&input.bucket, |bucket| {
        conditions.check(bucket.objects.get(&input.key))?;
        bucket.objects.remove(&input.key);
        Ok(DeleteObjectOutput::default())
    })
}

pub(super) fn delete_many(
    store: &Store,
    input: DeleteObjectsInput,
) -> S3Result<DeleteObjectsOutput> {
    const KEYS_MAX: usize = 1000;
    if input.delete.objects.len() > KEYS_MAX {
        return Err(s3_error!(MalformedXML, "more than 1,000 keys were given"));
    }
    let keys = input.delete.objects.into_iter().map(|object| object.key);
    store.with(&input.bucket, |bucket| {
        let deleted = keys.map(|key| {
            bucket.objects.remove(&key);
            DeletedObject {
                key: Some(key),
                ..DeletedObject::default()
            }
        });
        let deleted: Vec<_> = deleted.collect();
        let is_quiet = input.delete.quiet.unwrap_or_default();
        Ok(DeleteObjectsOutput {
            deleted: (!is_quiet).then_some(deleted),
            ..DeleteObjectsOutput::default()
        })
    })
}

/// The bucket and key that a copy reads.
pub(super) fn source(source: &CopySource) -> S3Result<(&str, &str)> {
    match source {
        CopySource::Bucket {
            bucket,
            key,
            version_id,
        } => {
            check_version(version_id.as_deref())?;
            Ok((bucket.as_ref(), key.as_ref()))
        }
        _ => Err(s3_error!(
            NotImplemented,
            "the source of a copy is a bucket"
        )),
    }
}

/// The bytes that a request is for.
fn requested(range: Option<s3s::dto::Range>, size: u64) -> S3Result<Range<u64>> {
    match range {
        None => Ok(0..size),
        Some(_) if size == 0 => Err(s3_error!(InvalidRange)),
        Some(range) => Ok(range.check(size)?),
    }
}

/// A checksum is of the whole, and told to those who ask.
fn shown(entry: &Entry, mode: Option<&ChecksumMode>, is_whole: bool) -> Checksum {
    let is_asked = mode.is_some_and(|mode| mode.as_str() == ChecksumMode::ENABLED);
    if is_asked && is_whole {
        entry.checksums.clone()
    } else {
        Checksum::default()
    }
}

/// Nothing is versioned here.
fn check_version(version: Option<&str>) -> S3Result<()> {
    match version {
        None | Some("null") => Ok(()),
        Some(_) => Err(s3_error!(
            NoSuchVersion,
            "The specified version does not exist."
        )),
    }
}
