// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! What the server has: buckets with objects and with uploads that were begun. The bytes are in
//! files; all else is in memory, behind one lock that is never held while bytes move.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use s3s::dto::{Checksum, ETag, Metadata, Timestamp};
use s3s::{S3Result, s3_error};

use super::blob::Blob;

/// What is stored of a request beside its body.
#[derive(Clone, Default)]
pub(super) struct Attributes {
    pub(super) metadata: Option<Metadata>,
    pub(super) cache_control: Option<String>,
    pub(super) content_disposition: Option<String>,
    pub(super) content_encoding: Option<String>,
    pub(super) content_language: Option<String>,
    pub(super) content_type: Option<String>,
    pub(super) expires: Option<Timestamp>,
    pub(super) website_redirect_location: Option<String>,
}

/// The attributes of an input; the types of the inputs have no trait in common.
macro_rules! attributes_of {
    ($input:ident) => {
        $crate::s3::state::Attributes {
            metadata: $input.metadata,
            cache_control: $input.cache_control,
            content_disposition: $input.content_disposition,
            content_encoding: $input.content_encoding,
            content_language: $input.content_language,
            content_type: $input.content_type,
            expires: $input.expires,
            website_redirect_location: $input.website_redirect_location,
        }
    };
}
pub(super) use attributes_of;

/// An object.
#[derive(Clone)]
pub(super) struct Entry {
    /// Its bytes, laid end to end: one for each part of its upload.
    pub(super) pieces: Vec<Arc<Blob>>,
    pub(super) size: u64,
    pub(super) e_tag: String,
    pub(super) modified: SystemTime,
    pub(super) attributes: Attributes,
    pub(super) checksums: Checksum,
}

impl Entry {
    pub(super) fn new(
        blobs: Vec<Blob>,
        e_tag: String,
        attributes: Attributes,
        checksums: Checksum,
    ) -> Self {
        Self {
            size: blobs.iter().map(Blob::size).sum(),
            pieces: blobs.into_iter().map(Arc::new).collect(),
            e_tag,
            modified: now(),
            attributes,
            checksums,
        }
    }

    pub(super) fn e_tag(&self) -> ETag {
        ETag::Strong(self.e_tag.clone())
    }
}

/// A part of an upload.
pub(super) struct UploadedPart {
    pub(super) blob: Blob,
    pub(super) md5: [u8; 16],
    pub(super) modified: SystemTime,
}

/// An upload that was begun and is neither completed nor aborted.
pub(super) struct Upload {
    pub(super) initiated: SystemTime,
    pub(super) attributes: Attributes,
    pub(super) parts: BTreeMap<i32, UploadedPart>,
}

/// By key and then by upload id, as they are listed.
pub(super) type Uploads = BTreeMap<(String, String), Upload>;

/// A bucket.
pub(super) struct Bucket {
    folder: PathBuf,
    pub(super) objects: BTreeMap<String, Entry>,
    pub(super) uploads: Uploads,
}

impl Bucket {
    pub(super) fn objects_folder(&self) -> PathBuf {
        self.folder.join("objects")
    }

    pub(super) fn parts_folder(&self) -> PathBuf {
        self.folder.join("parts")
    }
}

/// All buckets. Clones share them.
#[derive(Clone)]
pub(super) struct Store {
    folder: PathBuf,
    buckets: Arc<Mutex<BTreeMap<String, Bucket>>>,
}

impl Store {
    /// Without buckets; `folder` is there and empty.
    pub(super) fn new(folder: PathBuf) -> Self {
        Self {
            folder,
            buckets: Arc::default(),
        }
    }

    /// Makes a bucket; it must be new.
    pub(super) async fn create_bucket(&self, name: &str) -> std::io::Result<()> {
        if !s3s::path::check_bucket_name(name) {
            return Err(std::io::ErrorKind::InvalidFilename.into());
        }
        let bucket = Bucket {
            folder: self.folder.join(name),
            objects: BTreeMap::new(),
            uploads: BTreeMap::new(),
        };
        tokio::fs::create_dir(&bucket.folder).await?;
        tokio::fs::create_dir(bucket.objects_folder()).await?;
        tokio::fs::create_dir(bucket.parts_folder()).await?;
        self.lock().insert(name.to_owned(), bucket);
        Ok(())
    }

    /// Works on a bucket while nobody else does.
    pub(super) fn with<T>(
        &self,
        bucket: &str,
        work: impl FnOnce(&mut Bucket) -> S3Result<T>,
    ) -> S3Result<T> {
        match self.lock().get_mut(bucket) {
            Some(bucket) => work(bucket),
            None => Err(s3_error!(
                NoSuchBucket,
                "The specified bucket does not exist"
            )),
        }
    }

    /// An object as it is now. Its bytes stay readable when it is replaced.
    pub(super) fn entry(&self, bucket: &str, key: &str) -> S3Result<Entry> {
        self.with(bucket, |bucket| {
            let entry = bucket.objects.get(key).cloned();
            entry.ok_or_else(|| s3_error!(NoSuchKey, "The specified key does not exist."))
        })
    }

    /// Makes every upload as much older.
    pub(super) fn age_uploads(&self, by: Duration) {
        for bucket in self.lock().values_mut() {
            for upload in bucket.uploads.values_mut() {
                upload.initiated = upload.initiated.checked_sub(by).unwrap_or(UNIX_EPOCH);
            }
        }
    }

    /// The files of the parts of a bucket's uploads.
    pub(super) fn parts_folder(&self, bucket: &str) -> PathBuf {
        self.folder.join(bucket).join("parts")
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Bucket>> {
        // A test that panicked while it held the lock has left whole entries behind.
        self.buckets.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The time in whole seconds, which is all that a header can say of it.
pub(super) fn now() -> SystemTime {
    let now = SystemTime::now();
    let seconds = now.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    UNIX_EPOCH + Duration::from_secs(seconds)
}

/// A size as the answers have it.
pub(super) fn signed(size: u64) -> i64 {
    i64::try_from(size).unwrap_or(i64::MAX)
}
