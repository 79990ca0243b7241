// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! One object on its way up: gathered, hashed, sent at once or in parts, and made visible at the end.
//!
//! Nothing is visible before [`Transfer::finish`] has compared all that was to be compared. A transfer
//! that is dropped takes its parts away in the background. It refuses to drop a condition: where a
//! backend cannot hold one over several parts, the body is gathered, and beyond that it is an error.

use bytes::Bytes;
use object_store::path::Path;
use object_store::{
    ObjectStore, ObjectStoreExt, PutMode, PutMultipartOptions, PutOptions, PutPayload,
    PutPayloadMut, PutResult,
};

use crate::backend::BackendKind;
use crate::checksum::{Sha256Digest, Sha256Hasher};
use crate::content_type::{ContentType, FIRST_BYTES_MAX};
use crate::error::StorageError;
use crate::key::Key;
use crate::put::Stored;
use crate::storage::Storage;
use crate::upload::options::{Condition, WriteOptions};
use crate::upload::parts::Parts;
use crate::upload::plan::{PART_BYTES_MAX, gathered_bytes_max, part_bytes};

/// Smaller pieces are copied together: each one that is kept by itself has a cost of its own.
const COPIED_BYTES_MAX: usize = 32 * 1024;

/// How large the blocks are that pieces are copied to.
const BLOCK_BYTES: usize = 256 * 1024;

/// The operation, as errors name it.
const WRITE: &str = "write";

/// One object on its way up.
pub(crate) struct Transfer {
    storage: Storage,
    /// As the caller knows it, within the scope.
    key: Key,
    path: Path,
    options: WriteOptions,
    /// The most bytes that are gathered before parts begin.
    gathered_bytes_max: u64,
    buffer: PutPayloadMut,
    first_bytes: Vec<u8>,
    digest: Digest,
    size: u64,
    content_type: Option<ContentType>,
    parts: Option<Parts>,
}

/// The digest of the body: known, or in the making.
enum Digest {
    Known(Sha256Digest),
    Growing(Sha256Hasher),
}

impl Transfer {
    /// Begins. No request is made.
    pub(crate) fn new(
        storage: Storage,
        key: Key,
        options: WriteOptions,
    ) -> Result<Self, StorageError> {
        options.check()?;
        let path = storage.full_key(&key)?.to_path();
        let limits = &storage.shared().limits;
        let gathered = gathered_bytes_max(limits.part_bytes, limits.parts_parallel);
        let gathered_bytes_max = match (&options.condition, storage.backend()) {
            (Condition::None, _) | (_, BackendKind::S3 | BackendKind::Folder) => 0,
            // It holds the object in memory anyway.
            (_, BackendKind::Memory) => u64::MAX,
            _ => gathered,
        };
        Ok(Self {
            storage,
            key,
            path,
            options,
            gathered_bytes_max,
            buffer: empty(),
            first_bytes: Vec::new(),
            digest: Digest::Growing(Sha256Hasher::new()),
            size: 0,
            content_type: None,
            parts: None,
        })
    }

    /// Writes a body that is in memory as a whole: its digest comes first, so that a wrong one is found
    /// before anything is sent, and is stored with the object.
    pub(crate) async fn write_whole(&mut self, bytes: Bytes) -> Result<(), StorageError> {
        self.check_size(bytes.len())?;
        let mut hasher = Sha256Hasher::new();
        hasher.update_in_turns(&bytes).await;
        let found = hasher.finish();
        self.compare(found)?;
        self.digest = Digest::Known(found);
        // It needs no memory of its own, so that more of it can be put at once.
        if self.gathered_bytes_max > 0 {
            self.gathered_bytes_max = self.gathered_bytes_max.max(PART_BYTES_MAX);
        }
        self.write(bytes).await
    }

    /// Takes more bytes, and sends a part where one is full and more bytes follow.
    pub(crate) async fn write(&mut self, mut bytes: Bytes) -> Result<(), StorageError> {
        self.check_size(bytes.len())?;
        self.size += bytes.len() as u64;
        let wanted = FIRST_BYTES_MAX.saturating_sub(self.first_bytes.len());
        self.first_bytes.extend(bytes.iter().take(wanted));
        if let Digest::Growing(hasher) = &mut self.digest {
            hasher.update_in_turns(&bytes).await;
        }
        while !bytes.is_empty() {
            let target = self.buffer_bytes_max();
            if self.buffer.content_length() >= target {
                self.send_part().await?;
                continue;
            }
            let room = target - self.buffer.content_length();
            let piece = bytes.split_to(room.min(bytes.len()));
            if piece.len() > COPIED_BYTES_MAX || self.buffer.is_empty() {
                self.buffer.push(piece);
            } else {
                self.buffer.extend_from_slice(&piece);
            }
        }
        Ok(())
    }

    /// Compares what is to be compared, and makes the object visible.
    pub(crate) async fn finish(mut self) -> Result<Stored, StorageError> {
        let result = self.finish_in_place().await;
        if result.is_err() {
            self.abort().await;
        }
        result
    }

    /// Takes away what was sent. A failure is logged, since parts that stay are the sweeper's.
    pub(crate) async fn abort(mut self) {
        if let Some(parts) = self.parts.take() {
            parts.abort().await;
        }
    }

    async fn finish_in_place(&mut self) -> Result<Stored, StorageError> {
        let sha256 = match &self.digest {
            Digest::Known(digest) => *digest,
            Digest::Growing(hasher) => hasher.clone().finish(),
        };
        self.compare(sha256)?;
        let content_type = self.decide_content_type()?;
        if let Some(check) = self.options.check.take() {
            check(self.size)?;
        }
        let put = if self.parts.is_some() {
            self.finish_parts().await?
        } else {
            self.put_at_once(sha256).await?
        };
        Ok(Stored {
            key: self.key.clone(),
            size: self.size,
            etag: put.e_tag,
            version: put.version,
            sha256,
            content_type,
        })
    }

    /// Sends all of it in one request.
    async fn put_at_once(&mut self, sha256: Sha256Digest) -> Result<PutResult, StorageError> {
        let description =
            self.options
                .describe(&self.first_bytes, self.key.name(), Some(sha256))?;
        let options = PutOptions {
            mode: self.mode().await?,
            attributes: description.to_attributes(self.storage.backend()),
            ..PutOptions::default()
        };
        let payload = self.take_buffer();
        self.storage
            .store()
            .put_opts(&self.path, payload, options)
            .await
            .map_err(|error| self.failed(error))
    }

    async fn finish_parts(&mut self) -> Result<PutResult, StorageError> {
        if !self.buffer.is_empty() {
            self.send_part().await?;
        }
        let Some(parts) = &mut self.parts else {
            return Err(StorageError::option("upload", "it has no parts"));
        };
        let completed = parts.complete().await;
        completed.map_err(|error| self.failed(error))
    }

    /// Sends what was gathered as a part, once there is room for one more.
    async fn send_part(&mut self) -> Result<(), StorageError> {
        if self.parts.is_none() {
            self.parts = Some(self.begin_parts().await?);
        }
        let payload = self.take_buffer();
        let Some(parts) = &mut self.parts else {
            return Err(StorageError::option("upload", "it has no parts"));
        };
        let sent = parts.send(payload).await;
        sent.map_err(|error| self.failed(error))
    }

    async fn begin_parts(&mut self) -> Result<Parts, StorageError> {
        if self.gathered_bytes_max > 0 {
            return Err(StorageError::unsupported(
                self.storage.backend(),
                format!(
                    "hold a condition over a body of more than {} bytes",
                    self.gathered_bytes_max
                ),
                "write it without `if_absent` and `if_match` under a key of its own",
            ));
        }
        let known = match &self.digest {
            Digest::Known(digest) => Some(*digest),
            Digest::Growing(_) => None,
        };
        let description = self
            .options
            .describe(&self.first_bytes, self.key.name(), known)?;
        let mut options = PutMultipartOptions {
            attributes: description.to_attributes(self.storage.backend()),
            ..PutMultipartOptions::default()
        };
        let limits = &self.storage.shared().limits;
        let upload = match (&self.options.condition, self.storage.backend()) {
            #[cfg(feature = "aws")]
            (condition, BackendKind::S3) if *condition != Condition::None => {
                crate::upload::conditional::begin(&self.storage, &self.path, options, condition)
                    .await
            }
            (condition, _) => {
                // The folder holds the mode until the end; the others are not asked to.
                options.extensions.insert::<PutMode>(condition.mode(None));
                self.storage
                    .store()
                    .put_multipart_opts(&self.path, options)
                    .await
            }
        };
        let upload = upload.map_err(|error| self.failed(error))?;
        Ok(Parts::new(upload, limits.part_bytes, limits.parts_parallel))
    }

    /// The mode of a write in one request. GCS compares generations, so the object's is asked for; it is
    /// compared again by the write itself, which closes the race between the two.
    async fn mode(&mut self) -> Result<PutMode, StorageError> {
        let Condition::ETag(etag) = &self.options.condition else {
            return Ok(self.options.condition.mode(None));
        };
        if self.storage.backend() != BackendKind::Gcs {
            return Ok(self.options.condition.mode(None));
        }
        let changed = || StorageError::PreconditionFailed {
            bucket: self.storage.bucket_name().to_owned(),
            key: self.key.to_string(),
        };
        match self.storage.store().head(&self.path).await {
            Ok(meta) if meta.e_tag.as_deref() == Some(etag) => {
                Ok(self.options.condition.mode(meta.version))
            }
            Ok(_) | Err(object_store::Error::NotFound { .. }) => Err(changed()),
            Err(error) => Err(self.failed(error)),
        }
    }

    fn decide_content_type(&mut self) -> Result<ContentType, StorageError> {
        if let Some(content_type) = &self.content_type {
            return Ok(content_type.clone());
        }
        let description = self
            .options
            .describe(&self.first_bytes, self.key.name(), None)?;
        let content_type = description
            .content_type
            .unwrap_or_else(|| ContentType::sniff(&self.first_bytes, self.key.name()));
        self.content_type = Some(content_type.clone());
        Ok(content_type)
    }

    /// How much is gathered before it is sent.
    fn buffer_bytes_max(&self) -> usize {
        if self.gathered_bytes_max > 0 {
            return usize::try_from(self.gathered_bytes_max).unwrap_or(usize::MAX);
        }
        let sent = self.parts.as_ref().map_or(0, Parts::sent_bytes);
        part_bytes(self.storage.shared().limits.part_bytes, sent)
    }

    fn check_size(&self, more: usize) -> Result<(), StorageError> {
        let allowed = self.storage.shared().limits.object_bytes_max;
        let bytes_max = self.options.bytes_max.unwrap_or(allowed).min(allowed);
        if self.size.saturating_add(more as u64) > bytes_max {
            return Err(StorageError::TooLarge {
                bucket: self.storage.bucket_name().to_owned(),
                key: self.key.to_string(),
                bytes_max,
            });
        }
        Ok(())
    }

    fn compare(&self, found: Sha256Digest) -> Result<(), StorageError> {
        match self.options.sha256 {
            Some(expected) if expected != found => Err(StorageError::ChecksumMismatch {
                bucket: self.storage.bucket_name().to_owned(),
                key: self.key.to_string(),
                expected,
                found,
            }),
            _ => Ok(()),
        }
    }

    fn take_buffer(&mut self) -> PutPayload {
        std::mem::replace(&mut self.buffer, empty()).freeze()
    }

    fn failed(&self, error: object_store::Error) -> StorageError {
        StorageError::from_store(WRITE, self.storage.bucket_name(), self.key.as_str(), error)
    }
}

fn empty() -> PutPayloadMut {
    PutPayloadMut::new().with_block_size(BLOCK_BYTES)
}
