// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! Links to a folder, which our own router serves and holds to their terms.

use std::time::Duration;

use time::OffsetDateTime;

use super::terms::Terms;
use crate::backend::{FolderBackend, FolderSigning};
use crate::sign::SignError;
use crate::sign::folder::{self, Constraints, Link};
use crate::{BackendKind, StorageError};

/// Where the folder is served and the key that signs for it.
pub(crate) fn signing(backend: &FolderBackend) -> Result<&FolderSigning, StorageError> {
    backend.signing.as_ref().ok_or_else(|| {
        StorageError::unsupported(
            BackendKind::Folder,
            "no router serves this folder, so that a link would lead nowhere",
            "say where it is served by `FolderConfig::serve_at`, and serve it by `serve::router`",
        )
    })
}

pub(crate) fn sign(
    signing: &FolderSigning,
    bucket: &str,
    key: &str,
    terms: &Terms,
    now: OffsetDateTime,
    ttl: Duration,
) -> Result<String, SignError> {
    let path = format!("/{bucket}/{key}");
    let link = Link {
        method: terms.method,
        base_url: &signing.base_url,
        path: &path,
    };
    // The router writes the disposition itself, and lets active content download unless it is inline.
    let constraints = Constraints {
        content_type: terms.content_type.clone(),
        bytes_max: terms.bytes_max,
        if_absent: terms.if_absent,
        download_as: terms.download_as.clone(),
        inline: terms.is_inline,
        sha256: terms.sha256,
    };
    folder::sign(&link, &constraints, &signing.key, now, ttl)
}

/// Headers of a write: all else is in the link.
pub(crate) fn headers(terms: &Terms) -> Vec<(String, String)> {
    match &terms.content_type {
        Some(content_type) if terms.method == "PUT" => {
            vec![("content-type".to_owned(), content_type.clone())]
        }
        _ => Vec::new(),
    }
}
