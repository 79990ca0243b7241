// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! The end of an upload ticket: what arrived is checked, and put into its place.
//!
//! It is one pass. The upload is read once from quarantine, as one version of it; its first bytes tell its
//! type, all of them are counted and hashed on their way to the key, and only what holds all terms becomes
//! visible there. So what was checked is what is placed, whatever the client writes meanwhile.
//!
//! | What happens in between | What comes of it |
//! |---|---|
//! | the upload is replaced before it is read | the new one is checked like the first |
//! | the upload is replaced while it is read | the version that is being read is placed, or the read fails and nothing is; what came later is deleted unread |
//! | the process dies before the object is placed | nothing is visible; the upload is there, so `finalize` may be called again |
//! | the process dies after the object is placed | the object carries the ticket's mark: called again, it is found, answered, and quarantine is emptied |
//! | the answer to the write is lost | the mark is looked for, and says whether it was done |
//! | it is called twice at the same moment | one places the object, both answer it; with `replace` each places what it has checked |
//! | another object is put at the key meanwhile | `TargetTaken`, and the upload stays; with `replace` it is replaced |
//! | the upload is rejected | it is deleted; the client may upload again while the form or link holds |
//! | the deletion from quarantine fails | it is logged, and the sweeper deletes it ([`Storage::sweep_quarantine`]) |
//! | the key's object was deleted after it was placed | a second call finds neither: `NotUploaded` |
//!
//! It never trusts a type, a name or a size that the client said.

mod look;

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use futures_util::{StreamExt as _, TryStreamExt as _};

use crate::ticket::token::{Claims, Unreadable};
use crate::ticket::{QUARANTINE, TICKET_NAME};
use crate::{
    Body, ContentType, Key, KeyError, Object, ObjectInfo, Sha256Digest, Storage, StorageError,
    Stored,
};

/// How long after the end of the upload a token is still taken: an upload that began in time may end late.
const GRACE: Duration = Duration::from_hours(1);

/// The upload of a ticket, in its place.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Finalized {
    /// The object.
    pub stored: Stored,
    /// Whether it was placed by an earlier call.
    pub repeated: bool,
}

/// Why the upload of a ticket was not placed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FinalizeError {
    /// What arrived does not hold the terms. It was deleted from quarantine.
    #[error(transparent)]
    Rejected(Rejection),

    /// Nothing arrived, or it was placed and then deleted.
    #[error(
        "cannot finalize the upload for `{key}`: nothing was uploaded; upload, then call it again"
    )]
    NotUploaded {
        /// The key that the ticket is for.
        key: String,
    },

    /// There is another object at the key. The upload is left where it is.
    #[error(
        "cannot finalize the upload for `{key}`: another object is there; make the ticket for another key, or \
         with `replace`"
    )]
    TargetTaken {
        /// The key that the ticket is for.
        key: String,
    },

    /// The token was not made by this service, or was changed since.
    #[error(
        "cannot read the upload ticket: it is not signed by this service's key; make a new one"
    )]
    Forged,

    /// The token was made by another release.
    #[error("cannot read the upload ticket: it was made by another release; make a new one")]
    OtherVersion,

    /// The token ended more than an hour ago.
    #[error("cannot finalize the upload for `{key}`: its ticket has expired; make a new one")]
    Expired {
        /// The key that the ticket is for.
        key: String,
    },

    /// The token is for another bucket, or for another tenant than this storage.
    #[error(
        "cannot finalize the upload: its ticket is for another bucket or tenant than this storage"
    )]
    OtherScope,

    /// The bucket failed. Where it did so in the middle, nothing is visible and the call may be repeated.
    #[error(transparent)]
    Storage(#[from] StorageError),
}

/// What is wrong with an upload.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Rejection {
    /// It has too many bytes.
    #[error(
        "the upload was rejected and deleted: it has more than the {bytes_max} bytes that are allowed"
    )]
    TooLarge {
        /// The limit of the ticket.
        bytes_max: u64,
    },

    /// It has too few bytes.
    #[error(
        "the upload was rejected and deleted: it has {bytes} bytes, and {bytes_min} are needed"
    )]
    TooSmall {
        /// How many it has.
        bytes: u64,
        /// How many the ticket asks for.
        bytes_min: u64,
    },

    /// Its bytes are of another type.
    #[error("the upload was rejected and deleted: it is {found}, and only {} may be uploaded", .allowed.join(", "))]
    WrongType {
        /// What the bytes are; `application/octet-stream` where they do not show what the name says.
        found: ContentType,
        /// What the ticket lets in.
        allowed: Vec<String>,
    },

    /// Its bytes are not those that were announced.
    #[error(
        "the upload was rejected and deleted: its SHA-256 is {found}, and {expected} was announced"
    )]
    WrongChecksum {
        /// What was announced.
        expected: Sha256Digest,
        /// What the bytes have.
        found: Sha256Digest,
    },
}

/// What was deleted from quarantine.
#[derive(Debug, Default)]
#[non_exhaustive]
pub struct SweptQuarantine {
    /// How many uploads.
    pub deleted: u64,
    /// Those that could not be deleted, with the reason.
    pub failures: Vec<(Key, StorageError)>,
}

impl FinalizeError {
    /// Whether the same call may well succeed later.
    pub fn is_transient(&self) -> bool {
        matches!(self, Self::Storage(error) if error.is_transient())
    }
}

impl From<KeyError> for FinalizeError {
    fn from(error: KeyError) -> Self {
        Self::Storage(error.into())
    }
}

impl Storage {
    /// Checks the upload of a ticket and puts it at its key. It may be called again with the same token, and
    /// answers the same.
    ///
    /// The token must come from a storage of the same bucket and the same tenant. The type is told by the
    /// bytes; active content is stored to be downloaded, unless the ticket says `inline`.
    ///
    /// Four requests: the key is looked up, the upload is read while it is written to the key (in parts, if
    /// it is longer than one), and deleted. The bytes pass through this process in constant memory, which is
    /// what makes the check hold. A repeated call costs two, and reads the object where its SHA-256 was not
    /// stored with it.
    ///
    /// On GCS and Azure an upload that is larger than `put` can hold a condition over is refused as
    /// [`StorageError::Unsupported`], unless the ticket says `replace`.
    ///
    /// # Errors
    /// [`FinalizeError`], one variant for each state that is not the good one.
    ///
    /// # Cancellation
    /// Dropped before it has answered, the object may be placed or not; it is never visible in part. Call it
    /// again.
    ///
    /// # Examples
    /// See [`upload_ticket`](Self::upload_ticket). What is wrong with an upload is told apart:
    /// ```
    /// use forktex_storage::{FinalizeError, MemoryConfig, Rejection, Storage, StorageConfig};
    ///
    /// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
    /// let config = StorageConfig::new(MemoryConfig::new())
    ///     .ticket_key("a key of thirty-two bytes or more");
    /// let storage = Storage::open(config).await?;
    /// let ticket = storage
    ///     .upload_ticket("avatars/7.png")
    ///     .bytes_max(1024)
    ///     .content_types(["image/*"])
    ///     .await?;
    /// storage.put(&ticket.quarantine, "<html><script>..").await?;
    ///
    /// match storage.finalize(&ticket.token).await {
    ///     Err(FinalizeError::Rejected(Rejection::WrongType { found, .. })) => {
    ///         assert_eq!(found.as_str(), "text/html");
    ///     }
    ///     other => panic!("{other:?}"),
    /// }
    /// # Ok::<(), forktex_storage::StorageError>(())
    /// # }).unwrap();
    /// ```
    pub async fn finalize(&self, token: &str) -> Result<Finalized, FinalizeError> {
        let claims = self.read_token(token)?;
        let quarantine = claims.quarantine()?;
        // First, so that a second upload by a form that still holds never changes what was placed.
        if let Some(finalized) = self.placed(&claims).await? {
            self.discard(&quarantine).await;
            return Ok(finalized);
        }
        let object = match self.get(&quarantine).await {
            Ok(object) => object,
            Err(error) if error.is_not_found() => {
                // Another call may have placed it since.
                let placed = self.placed(&claims).await?;
                return placed.ok_or_else(|| FinalizeError::NotUploaded {
                    key: claims.key.to_string(),
                });
            }
            Err(error) => return Err(error.into()),
        };
        match self.place(&claims, object).await {
            Ok(stored) => {
                self.discard(&quarantine).await;
                Ok(Finalized {
                    stored,
                    repeated: false,
                })
            }
            Err(FinalizeError::Rejected(rejection)) => {
                self.discard(&quarantine).await;
                Err(FinalizeError::Rejected(rejection))
            }
            // Another call for the same ticket may have been quicker, or the answer to a write that was done
            // may be lost. What the mark says is then the better answer.
            Err(error) => match self.placed(&claims).await {
                Ok(Some(finalized)) => {
                    self.discard(&quarantine).await;
                    Ok(finalized)
                }
                _ => Err(error),
            },
        }
    }

    /// Deletes uploads that lie in the quarantine of this scope for longer than `older_than`.
    ///
    /// Say more than the longest life of a ticket and its hour of grace, or uploads are deleted that could
    /// still be finalized: 8 days are always enough. Each tenant has a quarantine of its own. It reads the
    /// quarantine in pages of 1,000 and deletes page by page.
    ///
    /// # Errors
    /// What the bucket says of the list. What could not be deleted is listed.
    ///
    /// # Cancellation
    /// What was deleted until then is deleted.
    ///
    /// # Examples
    /// ```
    /// use std::time::Duration;
    /// use forktex_storage::Storage;
    ///
    /// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
    /// let storage = Storage::memory();
    /// storage.put("quarantine/left", "behind").await?;
    /// let swept = storage.sweep_quarantine(Duration::from_secs(8 * 86_400)).await?;
    /// assert_eq!(swept.deleted, 0);
    /// # Ok::<(), forktex_storage::StorageError>(())
    /// # }).unwrap();
    /// ```
    pub async fn sweep_quarantine(
        &self,
        older_than: Duration,
    ) -> Result<SweptQuarantine, StorageError> {
        let age = time::Duration::try_from(older_than).unwrap_or(time::Duration::MAX);
        let Some(limit) = self.shared().clock.now().checked_sub(age) else {
            // Nothing is that old.
            return Ok(SweptQuarantine::default());
        };
        let mut swept = SweptQuarantine::default();
        let mut cursor = None;
        loop {
            let mut list = self.list(QUARANTINE);
            if let Some(cursor) = cursor {
                list = list.cursor(cursor);
            }
            let page = list.page().await?;
            let old = page.objects.into_iter();
            let old: Vec<Key> = old
                .filter(|object| object.last_modified <= limit)
                .map(|object| object.key)
                .collect();
            if !old.is_empty() {
                let deleted = self.delete_many(old).await?;
                swept.deleted += deleted.count;
                swept.failures.extend(deleted.failures);
            }
            cursor = page.next;
            if cursor.is_none() {
                return Ok(swept);
            }
        }
    }

    /// The terms of a token that is for this storage and still holds.
    fn read_token(&self, token: &str) -> Result<Claims, FinalizeError> {
        let claims = Claims::verify(token, self.ticket_key()?).map_err(|error| match error {
            Unreadable::Forged => FinalizeError::Forged,
            Unreadable::OtherVersion => FinalizeError::OtherVersion,
        })?;
        if claims.bucket != self.bucket_name() || claims.scope != self.scope() {
            return Err(FinalizeError::OtherScope);
        }
        let grace = i64::try_from(GRACE.as_secs()).unwrap_or(i64::MAX);
        let now = self.shared().clock.now().unix_timestamp();
        if now > claims.expires.saturating_add(grace) {
            return Err(FinalizeError::Expired {
                key: claims.key.to_string(),
            });
        }
        Ok(claims)
    }

    /// The object that an earlier call has placed.
    async fn placed(&self, claims: &Claims) -> Result<Option<Finalized>, StorageError> {
        let info = match self.head(&claims.key).await {
            Ok(info) => info,
            Err(error) if error.is_not_found() => return Ok(None),
            Err(error) => return Err(error),
        };
        if info.metadata.get(TICKET_NAME) != Some(&claims.mark()) {
            return Ok(None);
        }
        let sha256 = match info.sha256.or(claims.sha256) {
            Some(digest) => digest,
            // It went up in parts, and its digest was known only at their end.
            None => self.digest_of(&info).await?,
        };
        Ok(Some(Finalized {
            stored: Stored {
                key: claims.key.clone(),
                size: info.size,
                etag: info.etag,
                version: info.version,
                sha256,
                content_type: match info.content_type {
                    Some(content_type) => content_type,
                    None => look::unknown(),
                },
            },
            repeated: true,
        }))
    }

    async fn digest_of(&self, info: &ObjectInfo) -> Result<Sha256Digest, StorageError> {
        let mut get = self.get(&info.key);
        if let Some(etag) = &info.etag {
            get = get.if_match(etag);
        }
        let mut bytes = std::pin::pin!(get.await?.stream());
        let mut hasher = crate::checksum::Sha256Hasher::new();
        while let Some(piece) = bytes.try_next().await? {
            hasher.update_in_turns(&piece).await;
        }
        Ok(hasher.finish())
    }

    /// Checks an upload on its way to its key.
    async fn place(&self, claims: &Claims, object: Object) -> Result<Stored, FinalizeError> {
        let bytes = object.info().size;
        if bytes > claims.bytes_max {
            return Err(FinalizeError::Rejected(Rejection::TooLarge {
                bytes_max: claims.bytes_max,
            }));
        }
        let (first, body) = look::peek(object.stream().boxed())
            .await
            .map_err(|error| not_placed(error, claims))?;
        let content_type = look::type_of(&first, claims.name());
        if !claims.allows(&content_type) {
            return Err(FinalizeError::Rejected(Rejection::WrongType {
                found: content_type,
                allowed: claims.content_types.clone(),
            }));
        }
        let mut put = self
            .put(&claims.key, Body::stream(body))
            .content_type(content_type)
            .bytes_max(claims.bytes_max);
        for (name, value) in claims.all_metadata() {
            put = put.metadata(name, value);
        }
        if let Some(value) = &claims.cache_control {
            put = put.cache_control(value);
        }
        if let Some(name) = &claims.download_as {
            put = put.download_as(name);
        }
        if claims.inline {
            put = put.inline();
        }
        if let Some(digest) = claims.sha256 {
            put = put.sha256(digest);
        }
        if !claims.replace {
            put = put.if_absent();
        }
        // The size is counted here, since a service may store compressed what it gives out unpacked.
        let too_small = Arc::new(OnceLock::new());
        let noticed = Arc::clone(&too_small);
        let bytes_min = claims.bytes_min;
        let put = put.check_before_visible(Box::new(move |bytes| {
            if bytes >= bytes_min {
                return Ok(());
            }
            noticed.get_or_init(|| bytes);
            Err(StorageError::option(
                "bytes_min",
                "the upload has fewer bytes",
            ))
        }));
        put.await.map_err(|error| match too_small.get() {
            Some(&bytes) => FinalizeError::Rejected(Rejection::TooSmall { bytes, bytes_min }),
            None => not_placed(error, claims),
        })
    }

    /// Deletes from quarantine. What stays is swept later, so that a failure changes nothing of the answer.
    async fn discard(&self, quarantine: &Key) {
        if let Err(error) = self.delete(quarantine).await {
            tracing::warn!(
                key = %quarantine,
                %error,
                "an upload stays in quarantine; `sweep_quarantine` deletes it"
            );
        }
    }
}

/// What a failed write says of the upload.
fn not_placed(error: StorageError, claims: &Claims) -> FinalizeError {
    match error {
        StorageError::AlreadyExists { .. } => FinalizeError::TargetTaken {
            key: claims.key.to_string(),
        },
        StorageError::TooLarge { .. } => FinalizeError::Rejected(Rejection::TooLarge {
            bytes_max: claims.bytes_max,
        }),
        StorageError::ChecksumMismatch {
            expected, found, ..
        } => FinalizeError::Rejected(Rejection::WrongChecksum { expected, found }),
        other => FinalizeError::Storage(other),
    }
}

#[cfg(test)]
mod tests;
