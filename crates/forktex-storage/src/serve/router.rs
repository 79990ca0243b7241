// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! From a request to the folder, the key and the right that it has; then on to who answers it.
//!
//! The path is decoded once, here, and checked as a key. Nothing is answered before the signature was
//! verified, or the public map opened the key. It refuses to serve a bucket that is no folder.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use http::header::HOST;
use http::request::Parts;
use http::{Method, StatusCode};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::refusal::Refused;
use super::{ServeConfig, form, get, put};
use crate::backend::{Backend, FolderBackend, FolderSigning};
use crate::sign::encode;
use crate::sign::folder::{self, Constraints, Received};
use crate::{Key, Storage};

/// What all requests share.
pub(super) struct Served {
    storage: Storage,
    pub(super) config: ServeConfig,
    in_flight: Arc<Semaphore>,
}

/// A bucket that a request names.
#[derive(Clone, Copy)]
pub(super) struct Target<'a> {
    /// Its name in the configuration.
    pub(super) bucket: &'a str,
    pub(super) folder: &'a FolderBackend,
}

/// What a request may do.
pub(super) struct Allowed {
    pub(super) constraints: Constraints,
    /// It needs no signature.
    pub(super) is_public: bool,
}

/// Answers a request.
pub(super) async fn handle(State(served): State<Arc<Served>>, request: Request) -> Response {
    match served.answer(request).await {
        Ok(response) => response,
        Err(refused) => refused.into_response(),
    }
}

impl Served {
    pub(super) fn new(storage: Storage, config: ServeConfig) -> Self {
        let in_flight = Arc::new(Semaphore::new(config.requests_parallel_max));
        Self {
            storage,
            config,
            in_flight,
        }
    }

    async fn answer(&self, request: Request) -> Result<Response, Refused> {
        let permit: OwnedSemaphorePermit = Arc::clone(&self.in_flight)
            .try_acquire_owned()
            .map_err(|_| Refused::busy())?;
        let (head, body) = request.into_parts();
        let path = encode::decode(head.uri.path())
            .ok_or_else(|| Refused::malformed("the path is not encoded as it should be"))?;
        let (bucket, key) = split(&path)?;
        let target = self.find(bucket)?;
        match (&head.method, key) {
            (&Method::GET | &Method::HEAD, Some(key)) => {
                get::answer(self, target, &head, &key, permit).await
            }
            (&Method::PUT, Some(key)) => put::answer(self, target, &head, &key, body).await,
            (&Method::POST, None) => form::answer(self, target, &head, body).await,
            _ => Err(Refused::method()),
        }
    }

    /// What a link allows, or the public map.
    pub(super) fn authorise(
        &self,
        target: Target<'_>,
        head: &Parts,
        key: &Key,
    ) -> Result<Allowed, Refused> {
        self.check_reach(key)?;
        let query = head.uri.query().unwrap_or_default();
        if folder::is_signed(query) {
            let signing = signing(target)?;
            let received = Received {
                method: head.method.as_str(),
                host: host(head)?,
                path: head.uri.path(),
                query,
            };
            let now = self.now();
            let constraints = folder::verify(&received, &signing.base_url, &signing.key, now)?;
            return Ok(Allowed {
                constraints,
                is_public: false,
            });
        }
        let is_read = matches!(head.method, Method::GET | Method::HEAD);
        let map = &self.storage.shared().public_map;
        if is_read && map.is_public(target.bucket, key.as_str()) {
            return Ok(Allowed {
                constraints: Constraints::default(),
                is_public: true,
            });
        }
        Err(Refused::denied(
            "not_signed",
            "the request has no signature, and the key is not public",
        ))
    }

    /// Refuses keys of other tenants, where the router was made of one tenant's view.
    pub(super) fn check_reach(&self, key: &Key) -> Result<(), Refused> {
        match self.storage.strip(key.as_str()) {
            Some(_) => Ok(()),
            None => Err(Refused::denied("denied", "the key is out of reach")),
        }
    }

    pub(super) fn now(&self) -> time::OffsetDateTime {
        self.storage.shared().clock.now()
    }

    fn find<'a>(&'a self, name: &str) -> Result<Target<'a>, Refused> {
        let bucket = self.storage.shared().buckets.get(name);
        match bucket.map(|bucket| (bucket.name.as_str(), &bucket.backend)) {
            Some((bucket, Backend::Folder(folder))) => Ok(Target { bucket, folder }),
            _ => Err(Refused::new(
                StatusCode::NOT_FOUND,
                "no_such_bucket",
                "no folder of this name is served here",
            )),
        }
    }
}

/// The key that signs for a bucket.
pub(super) fn signing(target: Target<'_>) -> Result<&FolderSigning, Refused> {
    target.folder.signing.as_ref().ok_or_else(|| {
        Refused::denied(
            "not_signed",
            "this folder has no key to sign with, so that no link to it is good",
        )
    })
}

/// The host that the client called.
pub(super) fn host(head: &Parts) -> Result<&str, Refused> {
    let header = match head.headers.get(HOST) {
        Some(value) => value.to_str().ok(),
        None => head.uri.authority().map(http::uri::Authority::as_str),
    };
    header.ok_or_else(|| Refused::malformed("the request names no host"))
}

/// The bucket and the key of a decoded path. A bucket alone has no key.
fn split(path: &str) -> Result<(&str, Option<Key>), Refused> {
    let path = path.strip_prefix('/').unwrap_or(path);
    match path.split_once('/') {
        None => Ok((path, None)),
        Some((bucket, key)) => Ok((bucket, Some(Key::new(key)?))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_a_bucket_and_a_key_that_does_not_climb() {
        let (bucket, key) = split("/files/a/b c").unwrap();
        assert_eq!((bucket, key.unwrap().as_str()), ("files", "a/b c"));
        assert!(split("/files").unwrap().1.is_none());
        for path in [
            "/files/",
            "/files//a",
            "/files/../a",
            "/files/a/..",
            "/files/a\0",
            "/files/a\\b",
        ] {
            let refused = split(path).unwrap_err();
            assert_eq!(refused.code, "invalid_key", "{path:?}");
        }
    }
}
