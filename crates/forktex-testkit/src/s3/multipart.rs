// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! Uploads in parts: nothing of them is visible before they are completed.

use std::collections::BTreeMap;

use data_encoding::HEXLOWER;
use s3s::crypto::{Checksum as _, Md5};
use s3s::dto::{
    AbortMultipartUploadInput, AbortMultipartUploadOutput, Checksum, CompleteMultipartUploadInput,
    CompleteMultipartUploadOutput, CompletedPart, CopyPartResult, CreateMultipartUploadInput,
    CreateMultipartUploadOutput, ETag, ListPartsInput, ListPartsOutput, Part, Range,
    UploadPartCopyInput, UploadPartCopyOutput, UploadPartInput, UploadPartOutput,
};
use s3s::{S3Error, S3Result, s3_error};

use super::blob::{self, Blob, Expected, Received};
use super::conditions::{ReadConditions, WriteConditions};
use super::objects::source;
use super::state::{Bucket, Entry, Store, Upload, UploadedPart, attributes_of, now, signed};

/// The least that a part has, but for the last.
const PART_BYTES_MIN: u64 = 5 * 1024 * 1024;
/// The highest number of a part, and the most that a page of them holds.
const PARTS_MAX: i32 = 10_000;
const PAGE_MAX: i32 = 1000;

pub(super) fn create(
    store: &Store,
    input: CreateMultipartUploadInput,
) -> S3Result<CreateMultipartUploadOutput> {
    let id = uuid::Uuid::new_v4().simple().to_string();
    let upload = Upload {
        initiated: now(),
        attributes: attributes_of!(input),
        parts: BTreeMap::new(),
    };
    let name = (input.key.clone(), id.clone());
    store.with(&input.bucket, |bucket| {
        bucket.uploads.insert(name, upload);
        Ok(())
    })?;
    Ok(CreateMultipartUploadOutput {
        bucket: Some(input.bucket),
        key: Some(input.key),
        upload_id: Some(id),
        ..CreateMultipartUploadOutput::default()
    })
}

pub(super) async fn part(store: &Store, input: UploadPartInput) -> S3Result<UploadPartOutput> {
    let body = input.body.ok_or_else(|| s3_error!(IncompleteBody))?;
    let place = Place {
        bucket: input.bucket,
        upload: (input.key, input.upload_id),
        number: input.part_number,
    };
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
    let folder = place.folder(store)?;
    let received = blob::receive(&folder, body, &expected).await?;
    let checksums = received.checksums.clone();
    let e_tag = place.keep(store, received)?;
    Ok(UploadPartOutput {
        e_tag: Some(e_tag),
        checksum_crc32: checksums.checksum_crc32,
        checksum_crc32c: checksums.checksum_crc32c,
        checksum_crc64nvme: checksums.checksum_crc64nvme,
        checksum_sha1: checksums.checksum_sha1,
        checksum_sha256: checksums.checksum_sha256,
        ..UploadPartOutput::default()
    })
}

pub(super) async fn part_copy(
    store: &Store,
    input: UploadPartCopyInput,
) -> S3Result<UploadPartCopyOutput> {
    let (from_bucket, from_key) = source(&input.copy_source)?;
    let entry = store.entry(from_bucket, from_key)?;
    let conditions = ReadConditions {
        if_match: input.copy_source_if_match,
        if_none_match: input.copy_source_if_none_match,
        if_modified_since: input.copy_source_if_modified_since,
        if_unmodified_since: input.copy_source_if_unmodified_since,
    };
    conditions.check_source(&entry)?;
    let range = match input.copy_source_range.as_deref().map(Range::parse) {
        None => 0..entry.size,
        Some(Ok(range)) => range.check(entry.size)?,
        Some(Err(error)) => return Err(s3_error!(error, InvalidArgument)),
    };
    let place = Place {
        bucket: input.bucket,
        upload: (input.key, input.upload_id),
        number: input.part_number,
    };
    let folder = place.folder(store)?;
    let body = blob::read(&entry.pieces, &range);
    let received = blob::receive(&folder, body, &Expected::default()).await?;
    let copy_part_result = CopyPartResult {
        e_tag: Some(place.keep(store, received)?),
        last_modified: Some(now().into()),
        ..CopyPartResult::default()
    };
    Ok(UploadPartCopyOutput {
        copy_part_result: Some(copy_part_result),
        ..UploadPartCopyOutput::default()
    })
}

pub(super) fn complete(
    store: &Store,
    input: CompleteMultipartUploadInput,
) -> S3Result<CompleteMultipartUploadOutput> {
    let listed = input.multipart_upload.and_then(|upload| upload.parts);
    let listed = listed.filter(|parts| !parts.is_empty());
    let listed = listed.ok_or_else(|| s3_error!(MalformedXML, "no parts were listed"))?;
    let conditions = WriteConditions {
        if_match: input.if_match,
        if_none_match: input.if_none_match,
    };
    let name = (input.key.clone(), input.upload_id);
    let e_tag = store.with(&input.bucket, |bucket| {
        let upload = bucket.uploads.get(&name).ok_or_else(no_such_upload)?;
        check_parts(upload, &listed)?;
        // An upload whose condition fails can be completed later, or must be aborted.
        conditions.check(bucket.objects.get(&input.key))?;
        let upload = bucket.uploads.remove(&name).ok_or_else(no_such_upload)?;
        let entry = assemble(bucket, upload, &listed)?;
        let e_tag = entry.e_tag();
        bucket.objects.insert(input.key.clone(), entry);
        Ok(e_tag)
    })?;
    Ok(CompleteMultipartUploadOutput {
        bucket: Some(input.bucket),
        key: Some(input.key),
        e_tag: Some(e_tag),
        ..CompleteMultipartUploadOutput::default()
    })
}

/// Its parts are files that go with it.
pub(super) fn abort(
    store: &Store,
    input: AbortMultipartUploadInput,
) -> S3Result<AbortMultipartUploadOutput> {
    let name = (input.key, input.upload_id);
    store.with(&input.bucket, |bucket| {
        let aborted = bucket.uploads.remove(&name);
        aborted.map(drop).ok_or_else(no_such_upload)
    })?;
    Ok(AbortMultipartUploadOutput::default())
}

pub(super) fn list_parts(store: &Store, input: ListPartsInput) -> S3Result<ListPartsOutput> {
    let after = input.part_number_marker.unwrap_or_default();
    let count_max = input.max_parts.unwrap_or(PAGE_MAX).clamp(1, PAGE_MAX);
    let name = (input.key.clone(), input.upload_id.clone());
    let mut parts: Vec<Part> = store.with(&input.bucket, |bucket| {
        let upload = bucket.uploads.get(&name).ok_or_else(no_such_upload)?;
        let later = upload.parts.iter().filter(|(number, _)| **number > after);
        let later = later.map(|(number, part)| Part {
            part_number: Some(*number),
            e_tag: Some(part.e_tag()),
            size: Some(signed(part.blob.size())),
            last_modified: Some(part.modified.into()),
            ..Part::default()
        });
        Ok(later.collect())
    })?;
    let count = usize::try_from(count_max).unwrap_or_default();
    let is_truncated = parts.len() > count;
    parts.truncate(count);
    let next = parts.last().and_then(|part| part.part_number);
    Ok(ListPartsOutput {
        bucket: Some(input.bucket),
        key: Some(input.key),
        upload_id: Some(input.upload_id),
        is_truncated: Some(is_truncated),
        max_parts: Some(count_max),
        next_part_number_marker: next.filter(|_| is_truncated),
        part_number_marker: input.part_number_marker,
        parts: Some(parts),
        ..ListPartsOutput::default()
    })
}

impl UploadedPart {
    fn e_tag(&self) -> ETag {
        ETag::Strong(HEXLOWER.encode(&self.md5))
    }
}

/// Where a part belongs.
struct Place {
    bucket: String,
    upload: (String, String),
    number: i32,
}

impl Place {
    /// Where its bytes are put; the upload must have been begun.
    fn folder(&self, store: &Store) -> S3Result<std::path::PathBuf> {
        if !(1..=PARTS_MAX).contains(&self.number) {
            return Err(s3_error!(
                InvalidArgument,
                "Part number must be an integer between 1 and 10000, inclusive"
            ));
        }
        store.with(&self.bucket, |bucket| {
            if bucket.uploads.contains_key(&self.upload) {
                Ok(bucket.parts_folder())
            } else {
                Err(no_such_upload())
            }
        })
    }

    /// Takes a part in place of an earlier one of its number. The upload may have ended meanwhile.
    fn keep(&self, store: &Store, received: Received) -> S3Result<ETag> {
        let part = UploadedPart {
            blob: received.blob,
            md5: received.md5,
            modified: now(),
        };
        let e_tag = part.e_tag();
        store.with(&self.bucket, |bucket| {
            let upload = bucket.uploads.get_mut(&self.upload);
            let upload = upload.ok_or_else(no_such_upload)?;
            upload.parts.insert(self.number, part);
            Ok(e_tag)
        })
    }
}

/// The list must name parts that are there, in order, each but the last of the least size.
fn check_parts(upload: &Upload, listed: &[CompletedPart]) -> S3Result<()> {
    let mut before = 0;
    for (index, named) in listed.iter().enumerate() {
        let number = named.part_number.unwrap_or_default();
        if number <= before {
            return Err(s3_error!(
                InvalidPartOrder,
                "The list of parts was not in ascending order."
            ));
        }
        before = number;
        let part = upload.parts.get(&number).filter(|part| {
            let e_tag = named.e_tag.as_ref();
            e_tag.is_some_and(|e_tag| e_tag.value() == part.e_tag().value())
        });
        let Some(part) = part else {
            return Err(s3_error!(
                InvalidPart,
                "One or more of the specified parts could not be found."
            ));
        };
        if part.blob.size() < PART_BYTES_MIN && index + 1 < listed.len() {
            return Err(s3_error!(
                EntityTooSmall,
                "Your proposed upload is smaller than the minimum allowed size"
            ));
        }
    }
    Ok(())
}

/// Makes an object of the listed parts; the others are dropped.
fn assemble(bucket: &Bucket, mut upload: Upload, listed: &[CompletedPart]) -> S3Result<Entry> {
    let folder = bucket.objects_folder();
    let mut blobs: Vec<Blob> = Vec::with_capacity(listed.len());
    let mut md5 = Md5::new();
    for number in listed.iter().filter_map(|part| part.part_number) {
        let part = upload.parts.remove(&number);
        let mut part = part.ok_or_else(|| s3_error!(InvalidPart))?;
        md5.update(&part.md5);
        part.blob.move_to(&folder)?;
        blobs.push(part.blob);
    }
    let e_tag = format!("{}-{}", HEXLOWER.encode(&md5.finalize()), blobs.len());
    Ok(Entry::new(
        blobs,
        e_tag,
        upload.attributes,
        Checksum::default(),
    ))
}

fn no_such_upload() -> S3Error {
    s3_error!(
        NoSuchUpload,
        "The specified upload does not exist. It may have been aborted or completed."
    )
}
