// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! Object storage and signed URLs: the same code on MinIO in development and behind a CDN.
//!
//! | To | Use |
//! |---|---|
//! | open buckets on S3, MinIO, GCS, Azure, a folder | [`Storage::open`], [`StorageConfig`] |
//! | begin without any | [`Storage::memory`] |
//! | write an object, from bytes, a stream or a file | [`Storage::put`], [`Body`] |
//! | write one piece by piece | [`Storage::upload`] |
//! | read one, or a range of it | [`Storage::get`], [`Storage::head`] |
//! | list by pages or as a stream | [`Storage::list`], [`Storage::folders`] |
//! | copy, rename and delete | [`Storage::copy`], [`Storage::rename`], [`Storage::delete`], [`Storage::delete_many`] |
//! | keep tenants apart | [`Storage::for_org`], [`OrgStorage`] |
//! | link to an object for a while | [`Storage::signed_url`] |
//! | let a browser upload by a form | [`Storage::presigned_post`] |
//! | check what a client uploaded | [`Storage::upload_ticket`], [`Storage::finalize`] |
//! | lead clients to a public host or a CDN | [`PublicMap`], [`Rule`], [`CloudFrontKey`] |
//! | say in types what is public | [`PublicKey`], [`PrivateKey`], [`Storage::public_url`] |
//! | remove what dead processes left | [`Storage::sweep_uploads`], [`Storage::sweep_quarantine`] |
//! | tell failures apart | [`StorageError`], [`StorageErrorKind`] |
//!
//! A link is signed for the host that the client will call, and never rewritten after. What a backend
//! cannot enforce, it refuses: a size, a type or a condition is never dropped silently. Keys are checked
//! once, so that none climbs out of its bucket or its tenant. Uploads become visible whole or not at all,
//! and large ones go in parts, in bounded memory. HTML, SVG and the like are stored to be downloaded, so
//! that what a user uploads runs in nobody's session.
//!
//! Signing computes, and makes no request; with credentials of the machine it may renew them first. This
//! crate reads no environment variables, and shows no secret key, signature or signed URL's query in a
//! log, an error or `Debug`.
//!
//! # Features
//!
//! | Feature | Meaning |
//! |---|---|
//! | `aws` | buckets on S3 of AWS, MinIO and others that speak the same |
//! | `gcp` | buckets on Google Cloud Storage |
//! | `azure` | buckets on Azure Blob Storage |
//! | `serve` | a router for axum that answers the links of a folder |
//! | `http-client` | what the three clouds have in common; they turn it on |
//!
//! # Examples
//!
//! ```
//! use forktex_storage::Storage;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), forktex_storage::StorageError> {
//! let storage = Storage::memory();
//! let acme = storage.for_org("acme")?;
//!
//! let stored = acme
//!     .put("reports/2026.txt", "all is well")
//!     .metadata("author", "ada")
//!     .if_absent()
//!     .await?;
//! assert_eq!(stored.size, 11);
//!
//! let report = acme.get("reports/2026.txt").range(0..3).await?;
//! assert_eq!(report.bytes().await?, "all");
//!
//! let other = storage.for_org("other")?;
//! assert!(other.head("reports/2026.txt").await.unwrap_err().is_not_found());
//!
//! acme.delete("reports/2026.txt").await?;
//! assert!(!acme.exists("reports/2026.txt").await?);
//! # Ok(())
//! # }
//! ```

mod attributes;
mod backend;
mod body;
mod checksum;
mod clock;
mod config;
mod content_type;
mod disposition;
mod error;
mod finalize;
mod folder;
mod get;
mod http;
mod key;
mod list;
mod object;
mod org;
mod parts_upload;
mod presigned_post;
mod public_map;
mod put;
#[cfg(feature = "serve")]
pub mod serve;
mod sign;
mod signed_url;
mod storage;
mod sweep;
mod ticket;
mod upload;

pub use crate::backend::BackendKind;
pub use crate::body::Body;
pub use crate::checksum::{InvalidDigest, Sha256Digest};
pub use crate::config::{
    AzureConfig, BucketConfig, ConfigError, FolderConfig, GcsConfig, MemoryConfig, S3Config,
    S3Credentials, Secret, StorageConfig,
};
pub use crate::content_type::{ContentType, InvalidContentType};
pub use crate::error::{StorageError, StorageErrorKind};
pub use crate::finalize::{FinalizeError, Finalized, Rejection, SweptQuarantine};
pub use crate::get::{Get, Object};
pub use crate::key::{IntoKey, IntoPrefix, Key, KeyError, Prefix, PrivateKey, PublicKey};
pub use crate::list::{Cursor, Folder, List, ListedObject, Page};
pub use crate::object::{Copy, Deleted, ObjectInfo};
pub use crate::org::OrgStorage;
pub use crate::parts_upload::{BeginParts, PartsUpload, SentPart, SignPart, StoredParts};
pub use crate::presigned_post::{PresignedPost, PresignedPostRequest};
pub use crate::public_map::{CloudFrontKey, PublicMap, Rule};
pub use crate::put::{Put, Stored};
pub use crate::signed_url::{
    CloudFrontCookies, CookiesRequest, PublicAccess, SignedUrl, SignedUrlRequest,
};
pub use crate::storage::Storage;
pub use crate::sweep::{Swept, SweptUpload};
pub use crate::ticket::{TicketUpload, UploadTicket, UploadTicketRequest};
pub use crate::upload::{Upload, UploadOptions};

/// The signers, for the tests that compare them with others byte by byte. It is no part of the interface.
#[doc(hidden)]
pub mod __testing {
    pub use crate::sign::*;
}
