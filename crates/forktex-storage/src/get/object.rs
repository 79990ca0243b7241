// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! An object on its way down: counted, hashed, and compared at its end.

use std::fmt;
use std::ops::Range;
use std::path::Path;

use bytes::{Bytes, BytesMut};
use futures_util::stream::BoxStream;
use futures_util::{Stream, StreamExt, TryStreamExt};

use super::{READ, save, too_large};
use crate::checksum::{Sha256Digest, Sha256Hasher};
use crate::error::StorageError;
use crate::key::Key;
use crate::object::ObjectInfo;

/// An object whose bytes are still to come. See [`Storage::get`](crate::Storage::get).
#[must_use = "its bytes are not read yet"]
pub struct Object {
    pub(super) info: ObjectInfo,
    pub(super) range: Range<u64>,
    pub(super) bucket: String,
    pub(super) expected: Option<Sha256Digest>,
    pub(super) bytes_max: u64,
    pub(super) stream: BoxStream<'static, object_store::Result<Bytes>>,
}

impl Object {
    /// What is known of the object, the whole of it.
    pub fn info(&self) -> &ObjectInfo {
        &self.info
    }

    /// Which of its bytes these are.
    pub fn range(&self) -> Range<u64> {
        self.range.clone()
    }

    /// All the bytes, in one piece: at most [`Get::bytes_max`](crate::Get::bytes_max), or 64 MiB.
    ///
    /// # Errors
    /// [`StorageError::TooLarge`] before anything is read, [`StorageError::ChecksumMismatch`],
    /// [`StorageError::Unavailable`] where the connection ends too early.
    ///
    /// # Cancellation
    /// Dropping it ends the request.
    pub async fn bytes(self) -> Result<Bytes, StorageError> {
        let length = self.range.end.saturating_sub(self.range.start);
        let Some(capacity) = usize::try_from(length)
            .ok()
            .filter(|_| length <= self.bytes_max)
        else {
            return Err(too_large(
                &self.bucket,
                self.info.key.as_str(),
                self.bytes_max,
            ));
        };
        let mut stream = Box::pin(self.stream());
        let Some(first) = stream.try_next().await? else {
            return Ok(Bytes::new());
        };
        // One piece is given on as it is, once the end was seen, where the digest is compared.
        let mut all = None;
        while let Some(piece) = stream.try_next().await? {
            all.get_or_insert_with(|| {
                let mut all = BytesMut::with_capacity(capacity);
                all.extend_from_slice(&first);
                all
            })
            .extend_from_slice(&piece);
        }
        Ok(all.map_or(first, BytesMut::freeze))
    }

    /// The bytes as they come. Memory is one piece of them, and what the connection buffers.
    ///
    /// The last item is [`StorageError::ChecksumMismatch`] where the whole object was read and is not
    /// what its digest says: use nothing before the stream has ended well. After an error it ends.
    pub fn stream(self) -> impl Stream<Item = Result<Bytes, StorageError>> + Send + use<> {
        let length = self.range.end.saturating_sub(self.range.start);
        let reader = Reader {
            hasher: self.expected.map(|_| Sha256Hasher::new()),
            expected: self.expected,
            stream: self.stream,
            bucket: self.bucket,
            key: self.info.key,
            length,
            received: 0,
        };
        futures_util::stream::try_unfold(reader, |mut reader| async move {
            let piece = reader.next().await?;
            Ok(piece.map(|piece| (piece, reader)))
        })
    }

    /// Writes the bytes to a file, and gives back how many they are. The file is written beside
    /// `path` under a name of its own and takes its place at the end, so that a reader finds the old file
    /// or the whole new one.
    ///
    /// # Errors
    /// [`StorageError::Io`], and those of [`stream`](Self::stream); the old file stays then.
    ///
    /// # Cancellation
    /// Dropping it removes what was written in the background.
    pub async fn save_to(self, path: impl AsRef<Path>) -> Result<u64, StorageError> {
        let path = path.as_ref().to_owned();
        save::save(Box::pin(self.stream()), path).await
    }
}

impl fmt::Debug for Object {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Object")
            .field("info", &self.info)
            .field("range", &self.range)
            .finish_non_exhaustive()
    }
}

/// The bytes of an object on their way down, counted and hashed.
struct Reader {
    stream: BoxStream<'static, object_store::Result<Bytes>>,
    hasher: Option<Sha256Hasher>,
    expected: Option<Sha256Digest>,
    bucket: String,
    key: Key,
    length: u64,
    received: u64,
}

impl Reader {
    async fn next(&mut self) -> Result<Option<Bytes>, StorageError> {
        let Some(piece) = self.stream.next().await else {
            self.compare()?;
            return Ok(None);
        };
        let piece = piece.map_err(|error| {
            StorageError::from_store(READ, &self.bucket, self.key.as_str(), error)
        })?;
        self.received = self.received.saturating_add(piece.len() as u64);
        if self.received > self.length {
            return Err(self.cut("the answer has more bytes than it said"));
        }
        if let Some(hasher) = &mut self.hasher {
            hasher.update_in_turns(&piece).await;
        }
        Ok(Some(piece))
    }

    fn compare(&mut self) -> Result<(), StorageError> {
        if self.received < self.length {
            return Err(self.cut("the answer ended before its last byte"));
        }
        let (Some(hasher), Some(expected)) = (self.hasher.take(), self.expected) else {
            return Ok(());
        };
        let found = hasher.finish();
        if found == expected {
            return Ok(());
        }
        Err(StorageError::ChecksumMismatch {
            bucket: self.bucket.clone(),
            key: self.key.to_string(),
            expected,
            found,
        })
    }

    fn cut(&self, reason: &'static str) -> StorageError {
        StorageError::Unavailable {
            operation: READ,
            bucket: self.bucket.clone(),
            key: self.key.to_string(),
            source: reason.into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::get::BYTES_MAX;

    fn object(pieces: &[&'static str], length: u64, expected: Option<Sha256Digest>) -> Object {
        let pieces: Vec<_> = pieces.iter().map(|piece| Ok(Bytes::from(*piece))).collect();
        Object {
            info: ObjectInfo::named(Key::new("a").unwrap(), length),
            range: 0..length,
            bucket: "b".to_owned(),
            expected,
            bytes_max: BYTES_MAX,
            stream: futures_util::stream::iter(pieces).boxed(),
        }
    }

    #[tokio::test]
    async fn pieces_are_joined_and_compared() {
        let digest = Some(Sha256Digest::of("abc"));
        assert_eq!(
            object(&["a", "bc"], 3, digest).bytes().await.unwrap(),
            "abc"
        );
        assert_eq!(object(&[], 0, None).bytes().await.unwrap(), "");

        let wrong = object(&["a", "bd"], 3, digest).bytes().await.unwrap_err();
        assert!(matches!(wrong, StorageError::ChecksumMismatch { .. }));
    }

    #[tokio::test]
    async fn the_mismatch_is_the_last_item_of_the_stream() {
        let wrong = object(&["ab", "d"], 3, Some(Sha256Digest::of("abc")));
        let items: Vec<_> = wrong.stream().collect().await;
        assert_eq!(items.len(), 3);
        assert!(items.iter().take(2).all(Result::is_ok));
        assert!(matches!(
            items[2],
            Err(StorageError::ChecksumMismatch { .. })
        ));
    }

    #[tokio::test]
    async fn an_answer_of_another_length_is_no_object() {
        for pieces in [&["ab"][..], &["ab", "cd"][..]] {
            let error = object(pieces, 3, None).bytes().await.unwrap_err();
            assert!(error.is_transient(), "{error}");
        }
    }
}
