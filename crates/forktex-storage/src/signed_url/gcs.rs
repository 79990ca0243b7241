// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! Links to Google Cloud Storage: version 4, signed by a service account.
//!
//! A write is bound by headers of the service's own: a generation of 0 for "not there yet", and a range of
//! sizes. It has none for a SHA-256.

use std::time::Duration;

use time::OffsetDateTime;

use super::address::{Place, place_of};
use super::link::NamedEndpoint;
use super::terms::Terms;
use crate::backend::GcsBackend;
use crate::public_map::AddressStyle;
use crate::sign::SignError;
use crate::sign::gcs::{self, ServiceAccount};
use crate::{BackendKind, StorageError};

/// A bucket at the host that the client will call, with the account that signs.
pub(crate) struct SigningGcs<'a> {
    pub(crate) place: Place<'a>,
    pub(crate) bucket: &'a str,
    pub(crate) account: &'a ServiceAccount,
    pub(crate) now: OffsetDateTime,
}

impl<'a> SigningGcs<'a> {
    pub(crate) fn new(
        backend: &'a GcsBackend,
        named: Option<NamedEndpoint<'a>>,
        now: OffsetDateTime,
    ) -> Result<Self, StorageError> {
        let account = backend.signer.as_ref().ok_or_else(|| {
            StorageError::unsupported(
                BackendKind::Gcs,
                "no key of a service account is here to sign with",
                "give it by `GcsConfig::service_account_json`",
            )
        })?;
        let (endpoint, style) = match named {
            Some(named) => (named.url, named.style.unwrap_or(AddressStyle::Path)),
            None => (&backend.endpoint, AddressStyle::Path),
        };
        Ok(Self {
            place: place_of(endpoint, &backend.bucket, style)?,
            bucket: &backend.bucket,
            account,
            now,
        })
    }

    pub(crate) fn presign(
        &self,
        method: &str,
        key: &str,
        query: &[(String, String)],
        headers: &[(String, String)],
        ttl: Duration,
    ) -> Result<String, SignError> {
        let path = self.place.path(key);
        let request = gcs::Request {
            method,
            endpoint: &self.place.endpoint,
            path: &path,
            query,
            headers,
        };
        gcs::presign(&request, self.account, self.now, ttl)
    }
}

/// Parameters of a read.
pub(crate) fn query(terms: &Terms) -> Vec<(String, String)> {
    if terms.method == "PUT" {
        return Vec::new();
    }
    [
        ("generation", &terms.version),
        ("response-content-disposition", &terms.disposition),
        ("response-content-type", &terms.content_type),
    ]
    .into_iter()
    .filter_map(|(name, value)| Some((name.to_owned(), value.clone()?)))
    .collect()
}

/// Headers of a write.
pub(crate) fn headers(terms: &Terms) -> Vec<(String, String)> {
    if terms.method != "PUT" {
        return Vec::new();
    }
    let range = match (terms.bytes, terms.bytes_max) {
        (Some(bytes), _) => Some(format!("{bytes},{bytes}")),
        (None, Some(bytes_max)) => Some(format!("0,{bytes_max}")),
        (None, None) => None,
    };
    [
        ("content-type", terms.content_type.clone()),
        ("content-disposition", terms.disposition.clone()),
        ("x-goog-content-length-range", range),
        (
            "x-goog-if-generation-match",
            terms.if_absent.then(|| "0".to_owned()),
        ),
    ]
    .into_iter()
    .filter_map(|(name, value)| Some((name.to_owned(), value?)))
    .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_write_is_bound_by_the_services_own_headers() {
        let terms = Terms {
            method: "PUT",
            content_type: None,
            disposition: None,
            download_as: None,
            is_inline: false,
            if_absent: true,
            sha256: None,
            bytes: None,
            bytes_max: Some(9),
            version: None,
        };
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        assert_eq!(
            headers(&terms),
            [
                pair("x-goog-content-length-range", "0,9"),
                pair("x-goog-if-generation-match", "0"),
            ]
        );
        let exact = Terms {
            bytes: Some(7),
            if_absent: false,
            ..terms
        };
        assert_eq!(
            headers(&exact),
            [pair("x-goog-content-length-range", "7,7")]
        );
    }
}
