// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! Links to S3 and the services like it: signature version 4 in the query.
//!
//! What a write is bound to is a signed header, which the client must send as it was signed. The service
//! itself compares the checksum and the condition.

use std::sync::Arc;
use std::time::Duration;

use time::OffsetDateTime;

use super::address::{Place, place_of};
use super::link::NamedEndpoint;
use super::terms::Terms;
use crate::StorageError;
use crate::backend::S3Backend;
use crate::public_map::AddressStyle;
use crate::sign::SignError;
use crate::sign::sigv4::{self, Credentials, SigningKey};

/// A bucket at the host that the client will call, with the credentials of this moment.
pub(crate) struct SigningS3<'a> {
    pub(crate) place: Place<'a>,
    pub(crate) bucket: &'a str,
    pub(crate) credentials: Credentials,
    pub(crate) key: Arc<SigningKey>,
    pub(crate) now: OffsetDateTime,
}

impl<'a> SigningS3<'a> {
    pub(crate) async fn new(
        backend: &'a S3Backend,
        named: Option<NamedEndpoint<'a>>,
        now: OffsetDateTime,
    ) -> Result<Self, StorageError> {
        let own_style = if backend.path_style {
            AddressStyle::Path
        } else {
            AddressStyle::VirtualHost
        };
        let (endpoint, style) = match named {
            Some(named) => (named.url, named.style.unwrap_or(own_style)),
            None => (&backend.endpoint, own_style),
        };
        let place = place_of(endpoint, &backend.bucket, style)?;
        let (credentials, key) = backend.signer(now).await?;
        Ok(Self {
            place,
            bucket: &backend.bucket,
            credentials,
            key,
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
        let request = sigv4::Request {
            method,
            endpoint: &self.place.endpoint,
            path: &path,
            query,
            headers,
        };
        sigv4::presign(&request, &self.credentials, &self.key, self.now, ttl)
    }
}

/// Parameters of a read.
pub(crate) fn query(terms: &Terms) -> Vec<(String, String)> {
    if terms.method == "PUT" {
        return Vec::new();
    }
    [
        ("response-content-disposition", &terms.disposition),
        ("response-content-type", &terms.content_type),
        ("versionId", &terms.version),
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
    [
        ("content-type", terms.content_type.clone()),
        ("content-disposition", terms.disposition.clone()),
        ("content-length", terms.bytes.map(|bytes| bytes.to_string())),
        ("if-none-match", terms.if_absent.then(|| "*".to_owned())),
        (
            "x-amz-checksum-sha256",
            terms.sha256.map(|digest| digest.base64()),
        ),
    ]
    .into_iter()
    .filter_map(|(name, value)| Some((name.to_owned(), value?)))
    .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Sha256Digest;

    fn terms(method: &'static str) -> Terms {
        Terms {
            method,
            content_type: Some("image/png".to_owned()),
            disposition: Some("attachment".to_owned()),
            download_as: None,
            is_inline: false,
            if_absent: true,
            sha256: Some(Sha256Digest::of(b"a")),
            bytes: Some(7),
            bytes_max: None,
            version: Some("v".to_owned()),
        }
    }

    #[test]
    fn a_read_is_bound_by_parameters_and_a_write_by_headers() {
        let read = terms("GET");
        assert!(headers(&read).is_empty());
        let names: Vec<_> = query(&read).into_iter().map(|(name, _)| name).collect();
        assert_eq!(
            names,
            [
                "response-content-disposition",
                "response-content-type",
                "versionId"
            ]
        );
        let write = terms("PUT");
        assert!(query(&write).is_empty());
        let sent = headers(&write);
        assert!(sent.contains(&("if-none-match".to_owned(), "*".to_owned())));
        assert!(sent.contains(&("content-length".to_owned(), "7".to_owned())));
        assert_eq!(sent.len(), 5);
    }
}
