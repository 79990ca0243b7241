// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! Links to Azure: a service SAS for one blob.
//!
//! A SAS says what may be done and until when, and nothing of what is sent. So a write can only be held to
//! "not there yet", by the permission to create without the one to write.

use std::time::Duration;

use time::OffsetDateTime;

use super::link::NamedEndpoint;
use super::terms::Terms;
use crate::backend::AzureBackend;
use crate::sign::SignError;
use crate::sign::azure::{self, Protocol, Sas};
use crate::{BackendKind, Secret, StorageError};

/// The account's key, without which there is no SAS.
pub(crate) fn account_key(backend: &AzureBackend) -> Result<&Secret, StorageError> {
    backend.key.as_ref().ok_or_else(|| {
        StorageError::unsupported(
            BackendKind::Azure,
            "signing needs the account key",
            "give it by `AzureConfig::access_key`",
        )
    })
}

pub(crate) fn sign(
    backend: &AzureBackend,
    account_key: &Secret,
    named: Option<NamedEndpoint<'_>>,
    key: &str,
    terms: &Terms,
    now: OffsetDateTime,
    ttl: Duration,
) -> Result<String, SignError> {
    let endpoint = named.map_or(&backend.endpoint, |named| named.url);
    let permissions = match (terms.method, terms.if_absent) {
        ("PUT", true) => "c",
        ("PUT", false) => "cw",
        _ => "r",
    };
    let is_read = permissions == "r";
    let sas = Sas {
        // Only an emulator is called by http; the map refuses http before a bucket of https.
        protocol: if endpoint.scheme() == "https" {
            Protocol::Https
        } else {
            Protocol::HttpsOrHttp
        },
        content_disposition: terms.disposition.as_deref().filter(|_| is_read),
        content_type: terms.content_type.as_deref().filter(|_| is_read),
        ..Sas::new(&backend.account, &backend.container, key, permissions)
    };
    azure::url(endpoint, &sas, account_key, now, ttl)
}

/// What the service wants to see on every write of a blob; it is not signed.
pub(crate) fn headers(terms: &Terms) -> Vec<(String, String)> {
    if terms.method == "PUT" {
        vec![("x-ms-blob-type".to_owned(), "BlockBlob".to_owned())]
    } else {
        Vec::new()
    }
}
