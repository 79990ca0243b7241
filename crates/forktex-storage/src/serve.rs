// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! The router of a folder: it answers the folder's signed links and forms, as a cloud answers its own.
//!
//! | Request | Answer |
//! |---|---|
//! | `GET`, `HEAD` `/<bucket>/<key>?..` | the object, or a range of it |
//! | `PUT` `/<bucket>/<key>?..` | stores the body; 200 with its `ETag` |
//! | `POST` `/<bucket>` | stores the file of a signed form; 204 with its `ETag` |
//!
//! A request is held to what was signed: method, host, path, end, type, size, checksum, absence. Without
//! a signature only `GET` and `HEAD` are answered, and only for keys that the
//! [`PublicMap`](crate::PublicMap) calls public. Conditions (`If-Match`, `If-None-Match`,
//! `If-Modified-Since`, `If-Unmodified-Since`, `If-Range`) and single ranges follow RFC 9110; a request for
//! several ranges gets the whole.
//!
//! Objects come from whoever uploaded them, so each answer has `X-Content-Type-Options: nosniff` and a
//! `Content-Security-Policy` that runs nothing. Active content is sent to be downloaded, unless the link
//! was signed `inline`.
//!
//! A refusal is JSON, `{"error": {"code": "..", "message": ".."}}`, and shows no path of the machine and no
//! signature: 400 malformed or a wrong checksum, 403 not signed for this, 404, 405, 408 too slow, 409 a
//! clash of names, 412 a condition, 413 too large, 415 a wrong type, 416 a range, 429 too many requests,
//! 500.
//!
//! Slow clients hold nothing for long: a body that stalls is cut, and so is an answer that is not taken.
//! An upload that fails leaves nothing. The router adds no CORS headers and no rate limits by address: put
//! such layers around it.

mod conditions;
mod form;
mod get;
mod headers;
mod put;
mod refusal;
mod router;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::routing::any;
use tokio::sync::Semaphore;

use crate::backend::Backend;
use crate::{Storage, StorageError};

/// How the router treats requests. Every option has a default.
///
/// # Examples
/// ```
/// use std::time::Duration;
/// use forktex_storage::serve::ServeConfig;
///
/// let config = ServeConfig::new()
///     .idle_timeout(Duration::from_secs(5))
///     .body_bytes_max(100 * 1024 * 1024);
/// # let _ = config;
/// ```
#[derive(Clone, Debug)]
#[must_use = "it has no effect until a router is made with it"]
pub struct ServeConfig {
    request_timeout: Duration,
    idle_timeout: Duration,
    response_idle_timeout: Duration,
    body_bytes_max: u64,
    requests_parallel_max: usize,
}

impl ServeConfig {
    /// The defaults.
    pub fn new() -> Self {
        Self::default()
    }

    /// How long an upload may take as a whole; 1 hour by default. Then it is refused with 408.
    pub fn request_timeout(mut self, timeout: Duration) -> Self {
        self.request_timeout = timeout;
        self
    }

    /// How long an upload may bring nothing; 10 seconds by default. Then it is refused with 408.
    pub fn idle_timeout(mut self, timeout: Duration) -> Self {
        self.idle_timeout = timeout;
        self
    }

    /// How long a download may take nothing; 1 minute by default. Then the connection is cut.
    pub fn response_idle_timeout(mut self, timeout: Duration) -> Self {
        self.response_idle_timeout = timeout;
        self
    }

    /// The most bytes of an object that is uploaded, whatever was signed; 5 GiB by default.
    pub fn body_bytes_max(mut self, bytes_max: u64) -> Self {
        self.body_bytes_max = bytes_max;
        self
    }

    /// How many requests are answered at once; 1,024 by default, at least 1. Each holds at most two files
    /// and 2 MiB. More are refused with 429.
    pub fn requests_parallel_max(mut self, requests_max: usize) -> Self {
        self.requests_parallel_max = requests_max.clamp(1, Semaphore::MAX_PERMITS);
        self
    }
}

impl Default for ServeConfig {
    fn default() -> Self {
        Self {
            request_timeout: Duration::from_hours(1),
            idle_timeout: Duration::from_secs(10),
            response_idle_timeout: Duration::from_mins(1),
            body_bytes_max: 5 * 1024 * 1024 * 1024,
            requests_parallel_max: 1024,
        }
    }
}

/// The router of all folder buckets of a storage, with the default [`ServeConfig`].
///
/// Nest it under the path of the base URL that the buckets were configured with
/// ([`FolderConfig::serve_at`](crate::FolderConfig::serve_at)). Of a view of one organisation it serves
/// that organisation's keys alone.
///
/// # Errors
/// [`StorageError::Unsupported`] when no bucket is a folder.
///
/// # Examples
/// ```
/// use forktex_storage::{FolderConfig, Secret, Storage, StorageConfig, serve};
///
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// # let folder = std::env::temp_dir().join(format!("forktex-{}", uuid::Uuid::now_v7()));
/// let bucket = FolderConfig::new(&folder)
///     .serve_at("http://localhost:3000/files", Secret::from("a key of thirty-two bytes or more"));
/// let storage = Storage::open(StorageConfig::new(bucket)).await?;
/// let app: axum::Router = axum::Router::new().nest("/files", serve::router(&storage)?);
/// # drop(app);
/// # std::fs::remove_dir_all(&folder).unwrap();
/// # Ok::<(), forktex_storage::StorageError>(())
/// # }).unwrap();
/// ```
pub fn router(storage: &Storage) -> Result<Router, StorageError> {
    router_with(storage, ServeConfig::default())
}

/// The router of all folder buckets of a storage.
///
/// # Errors
/// As [`router()`].
///
/// # Examples
/// ```
/// use std::time::Duration;
/// use forktex_storage::serve::{ServeConfig, router_with};
/// use forktex_storage::Storage;
///
/// // Memory has no links: only a folder is served.
/// let config = ServeConfig::new().idle_timeout(Duration::from_secs(5));
/// assert!(router_with(&Storage::memory(), config).is_err());
/// ```
pub fn router_with(storage: &Storage, config: ServeConfig) -> Result<Router, StorageError> {
    let buckets = &storage.shared().buckets;
    if !buckets
        .values()
        .any(|bucket| matches!(bucket.backend, Backend::Folder(_)))
    {
        return Err(StorageError::unsupported(
            storage.backend(),
            "a router of its own: its links lead to its own service",
            "configure a folder by `FolderConfig::serve_at`",
        ));
    }
    let served = Arc::new(router::Served::new(storage.clone(), config));
    Ok(Router::new()
        .route("/{bucket}", any(router::handle))
        .route("/{bucket}/{*key}", any(router::handle))
        .with_state(served))
}
