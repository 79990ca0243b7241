// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! Hands the one HTTP client of a storage to each of its buckets. It never builds a client by the
//! options of `object_store`, whose own would want another TLS provider.

use std::sync::Arc;

use async_trait::async_trait;
use object_store::client::{
    HttpClient as StoreClient, HttpConnector, HttpError, HttpErrorKind, HttpRequest, HttpResponse,
    HttpService,
};
use object_store::{BackoffConfig, ClientConfigKey, ClientOptions, RetryConfig};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};

#[cfg(any(feature = "aws", feature = "gcp"))]
use super::HttpClient;
use super::patient::Patient;
use crate::config::{ClientSettings, ConfigError};

/// The most connections to one host that wait for their next request.
const IDLE_CONNECTIONS_MAX: usize = 64;

/// The most certificates that one text may add.
const CERTIFICATES_MAX: usize = 1_000;

/// What the services see of us.
const USER_AGENT: &str = concat!("forktex-storage/", env!("CARGO_PKG_VERSION"));

/// Gives the client of this storage, whatever is asked for.
#[derive(Clone, Debug)]
pub(crate) struct Connector {
    /// Sends over https alone.
    secure: StoreClient,
    /// Sends over http as well, where the configuration allows it.
    plain: StoreClient,
}

impl Connector {
    /// Builds the client. Nothing is connected yet.
    pub(crate) fn new(settings: &ClientSettings) -> Result<Self, ConfigError> {
        if settings.offline {
            return Ok(Self {
                secure: StoreClient::new(Offline),
                plain: StoreClient::new(Offline),
            });
        }
        let tls = tls(settings)?;
        Ok(Self {
            secure: StoreClient::new(build(settings, tls.clone(), true)?),
            plain: StoreClient::new(build(settings, tls, false)?),
        })
    }

    /// A client for requests of our own.
    #[cfg(any(feature = "aws", feature = "gcp"))]
    pub(crate) fn client(&self, allow_http: bool) -> HttpClient {
        let inner = if allow_http {
            &self.plain
        } else {
            &self.secure
        };
        HttpClient {
            inner: inner.clone(),
        }
    }
}

impl HttpConnector for Connector {
    fn connect(&self, options: &ClientOptions) -> object_store::Result<StoreClient> {
        // The metadata services of the clouds are asked over http, and say so here.
        let allow_http = options.get_config_value(&ClientConfigKey::AllowHttp);
        match allow_http.as_deref() {
            Some("true") => Ok(self.plain.clone()),
            _ => Ok(self.secure.clone()),
        }
    }
}

/// The options of a bucket's client: all that they decide is whether http is allowed.
pub(crate) fn client_options(allow_http: bool) -> ClientOptions {
    ClientOptions::new().with_allow_http(allow_http)
}

/// How requests are repeated: the pauses grow, and are drawn at random.
pub(crate) fn retry_config(settings: &ClientSettings) -> RetryConfig {
    RetryConfig {
        backoff: BackoffConfig::default(),
        max_retries: usize::try_from(settings.retry_attempts_max).unwrap_or(usize::MAX),
        retry_timeout: settings.retry_time_max,
    }
}

fn build(
    settings: &ClientSettings,
    tls: ClientConfig,
    https_only: bool,
) -> Result<Patient, ConfigError> {
    let client = reqwest::Client::builder()
        .user_agent(USER_AGENT)
        .tls_backend_preconfigured(tls)
        .https_only(https_only)
        // Many bodies at once want many connections, not many streams of one.
        .http1_only()
        .redirect(reqwest::redirect::Policy::none())
        .no_proxy()
        .connect_timeout(settings.connect_timeout)
        .pool_max_idle_per_host(IDLE_CONNECTIONS_MAX)
        .no_gzip()
        .no_brotli()
        .no_zstd()
        .no_deflate()
        .build()
        .map_err(|error| fault("it refuses its options", error))?;
    Ok(Patient::new(client, settings.request_timeout))
}

/// TLS by the ring provider, by name: what the process has installed as its default does not matter.
fn tls(settings: &ClientSettings) -> Result<ClientConfig, ConfigError> {
    let mut roots: RootCertStore = webpki_roots::TLS_SERVER_ROOTS.iter().cloned().collect();
    for pem in &settings.root_certificates_pem {
        add_roots(&mut roots, pem)?;
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| fault("TLS has no version that it knows", error))?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(config)
}

fn add_roots(roots: &mut RootCertStore, pem: &[u8]) -> Result<(), ConfigError> {
    let mut found = 0_usize;
    for certificate in CertificateDer::pem_slice_iter(pem).take(CERTIFICATES_MAX) {
        let certificate =
            certificate.map_err(|error| fault("a root certificate is no PEM", error))?;
        roots
            .add(certificate)
            .map_err(|error| fault("a root certificate cannot be used", error))?;
        found += 1;
    }
    if found == 0 {
        return Err(ConfigError::HttpClient {
            reason: "a root certificate has no PEM text in it",
            source: None,
        });
    }
    Ok(())
}

fn fault(
    reason: &'static str,
    source: impl std::error::Error + Send + Sync + 'static,
) -> ConfigError {
    ConfigError::HttpClient {
        reason,
        source: Some(Box::new(source)),
    }
}

/// Refuses every request, for tests that show what sends none.
#[derive(Debug)]
struct Offline;

#[async_trait]
impl HttpService for Offline {
    async fn call(&self, _request: HttpRequest) -> Result<HttpResponse, HttpError> {
        Err(HttpError::new(HttpErrorKind::Connect, OfflineError))
    }
}

/// A request was sent by a storage that is offline.
#[derive(Debug, thiserror::Error)]
#[error("the storage is offline: every request is refused")]
struct OfflineError;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_client_is_built_with_the_ring_provider_by_name() {
        assert!(Connector::new(&ClientSettings::default()).is_ok());
    }

    #[test]
    fn a_root_certificate_that_is_none_is_refused() {
        for pem in [
            "",
            "no certificate",
            "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
        ] {
            let settings = ClientSettings {
                root_certificates_pem: vec![pem.into()],
                ..ClientSettings::default()
            };
            let refused = Connector::new(&settings);
            assert!(
                matches!(refused, Err(ConfigError::HttpClient { .. })),
                "{pem}"
            );
        }
    }

    #[tokio::test]
    async fn offline_refuses_every_request() {
        let settings = ClientSettings {
            offline: true,
            ..ClientSettings::default()
        };
        let connector = Connector::new(&settings).unwrap();
        let client = connector.connect(&ClientOptions::default()).unwrap();
        let request = http::Request::get("https://example.com/")
            .body(object_store::client::HttpRequestBody::empty())
            .unwrap();
        let refused = client.execute(request).await.unwrap_err();
        assert!(refused.to_string().contains("offline"), "{refused}");
    }
}
