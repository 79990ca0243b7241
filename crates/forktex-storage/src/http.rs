// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! The HTTP client of a storage: one pool of connections for all its buckets.
//!
//! TLS is rustls on ring, with Mozilla's roots and those that the configuration adds. It follows no
//! redirects, since a signature holds for one host; it reads no proxy from the environment; and an error
//! of it never shows a URL, whose query may be a signature.
#![cfg_attr(
    not(any(feature = "aws", feature = "gcp", feature = "azure")),
    allow(dead_code, unused_imports, reason = "without a cloud nothing is sent")
)]

#[cfg(feature = "http-client")]
mod connector;
#[cfg(feature = "http-client")]
mod patient;

#[cfg(feature = "http-client")]
pub(crate) use self::connector::{Connector, client_options, retry_config};

/// A client for the few requests that this crate sends by itself, such as the list of stale uploads. It
/// cannot be made without the feature `http-client`.
#[derive(Clone, Debug)]
pub(crate) struct HttpClient {
    #[cfg(feature = "http-client")]
    inner: object_store::client::HttpClient,
    #[cfg(not(feature = "http-client"))]
    inner: std::convert::Infallible,
}

#[cfg(feature = "http-client")]
impl std::ops::Deref for HttpClient {
    type Target = object_store::client::HttpClient;

    fn deref(&self) -> &Self::Target {
        &self.inner
    }
}
