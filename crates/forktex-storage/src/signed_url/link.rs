// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! Which signer makes a link: the public map's way first, then the bucket's backend.

use std::time::Duration;

use http::Method;

use super::terms::{LinkOptions, Signer, Terms};
use super::{SignedUrl, azure, check_ttl, cloudfront, expires_at, folder, gcs, s3};
use crate::backend::Backend;
use crate::public_map::{AddressStyle, Route};
use crate::{BackendKind, Key, Storage, StorageError};

/// The address of a link: a host that a rule names, and how the bucket stands in it.
#[derive(Clone, Copy)]
pub(crate) struct NamedEndpoint<'a> {
    pub(crate) url: &'a url::Url,
    pub(crate) style: Option<AddressStyle>,
}

/// Signs a link to a key of the storage's scope.
pub(crate) async fn sign(
    storage: &Storage,
    key: &Key,
    options: &LinkOptions,
    ttl: Duration,
) -> Result<SignedUrl, StorageError> {
    let full = storage.full_key(key)?;
    let ttl = check_ttl(ttl)?;
    let now = storage.shared().clock.now();
    let ends = expires_at(now, ttl)?;
    let bucket = storage.bucket_inner();
    let map = &storage.shared().public_map;
    let named = match map.route(&bucket.name, full.as_str(), options.access) {
        Route::BucketItself => None,
        Route::Endpoint { url, style } => Some(NamedEndpoint { url, style }),
        Route::CloudFront {
            base,
            cloudfront: distribution,
        } => {
            let terms = options.terms(key, cloudfront::signer(distribution))?;
            let url = cloudfront::sign(base, distribution, full.as_str(), &terms, now, ttl)
                .map_err(|error| super::not_signed(&bucket.name, full.as_str(), error))?;
            return Ok(link(url, &terms, Vec::new(), ends));
        }
        Route::Public { .. } => return Err(public_never_ends(bucket.backend.kind())),
    };
    let failed = |error| super::not_signed(&bucket.name, full.as_str(), error);
    match &bucket.backend {
        Backend::S3(backend) => {
            let terms = options.terms(key, Signer::S3)?;
            let signing = s3::SigningS3::new(backend, named, now).await?;
            let (query, headers) = (s3::query(&terms), s3::headers(&terms));
            let url = signing
                .presign(terms.method, full.as_str(), &query, &headers, ttl)
                .map_err(failed)?;
            Ok(link(url, &terms, headers, ends))
        }
        Backend::Gcs(backend) => {
            let terms = options.terms(key, Signer::Gcs)?;
            let signing = gcs::SigningGcs::new(backend, named, now)?;
            let (query, headers) = (gcs::query(&terms), gcs::headers(&terms));
            let url = signing
                .presign(terms.method, full.as_str(), &query, &headers, ttl)
                .map_err(failed)?;
            Ok(link(url, &terms, headers, ends))
        }
        Backend::Azure(backend) => {
            let terms = options.terms(key, Signer::Azure)?;
            let account_key = azure::account_key(backend)?;
            let url = azure::sign(backend, account_key, named, full.as_str(), &terms, now, ttl)
                .map_err(failed)?;
            Ok(link(url, &terms, azure::headers(&terms), ends))
        }
        Backend::Folder(backend) => {
            let terms = options.terms(key, Signer::Folder)?;
            let signing = folder::signing(backend)?;
            let url = folder::sign(signing, &bucket.name, full.as_str(), &terms, now, ttl)
                .map_err(failed)?;
            Ok(link(url, &terms, folder::headers(&terms), ends))
        }
        Backend::Memory(_) => Err(memory_signs_nothing()),
    }
}

/// What is said of a link that could have no end.
fn public_never_ends(backend: BackendKind) -> StorageError {
    StorageError::unsupported(
        backend,
        "a signed link where the public map says that the keys are public: it would never end",
        "use `public_url`, or put a rule that names an endpoint before the public one",
    )
}

/// What memory says to each kind of link.
pub(crate) fn memory_signs_nothing() -> StorageError {
    StorageError::unsupported(
        BackendKind::Memory,
        "no server is behind memory that would take a link",
        "use a folder with `FolderConfig::serve_at` and its router",
    )
}

fn link(
    url: String,
    terms: &Terms,
    headers: Vec<(String, String)>,
    expires_at: time::OffsetDateTime,
) -> SignedUrl {
    let method = match terms.method {
        "PUT" => Method::PUT,
        "HEAD" => Method::HEAD,
        _ => Method::GET,
    };
    SignedUrl {
        url,
        method,
        headers,
        expires_at,
    }
}
