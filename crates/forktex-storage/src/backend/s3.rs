// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! A bucket on S3: the client, and what its links are signed with.
#![cfg_attr(
    not(feature = "aws"),
    allow(
        dead_code,
        unused_imports,
        clippy::needless_pass_by_value,
        clippy::unused_async,
        reason = "without its feature no such bucket is opened"
    )
)]

use std::sync::Arc;

use object_store::ObjectStore;
use object_store::multipart::MultipartStore;
use time::OffsetDateTime;
use url::Url;

use super::Opening;
use crate::config::s3::S3CredentialSource;
use crate::config::{ConfigError, S3Config, S3Credentials};
use crate::error::StorageError;
use crate::http::HttpClient;
use crate::sign::sigv4::{Credentials, SigningKey, SigningKeys};

/// A bucket on S3.
pub(crate) struct S3Backend {
    pub(crate) store: Arc<dyn ObjectStore>,
    /// The same client, for uploads whose parts others send.
    pub(crate) multipart: Arc<dyn MultipartStore>,
    /// The service, without the bucket: scheme and authority.
    pub(crate) endpoint: Url,
    /// The bucket's name at the service.
    pub(crate) bucket: String,
    pub(crate) region: String,
    /// Whether the bucket stands in the path, and not before the host.
    pub(crate) path_style: bool,
    /// For the requests that are sent by presigned URLs of our own.
    pub(crate) http: Option<HttpClient>,
    /// The day's signing keys, derived at their first use.
    pub(crate) signing_keys: SigningKeys,
    credentials: CredentialSource,
}

/// Where the credentials of a signature come from.
enum CredentialSource {
    Given(Credentials),
    #[cfg(feature = "aws")]
    Provider(object_store::aws::AwsCredentialProvider),
}

impl S3Backend {
    /// Builds the client. Nothing is sent.
    #[cfg(not(feature = "aws"))]
    pub(super) fn open(
        _name: &str,
        _config: S3Config,
        _opening: &Opening,
    ) -> Result<Self, StorageError> {
        Err(super::feature_missing(super::BackendKind::S3, "aws"))
    }

    /// Builds the client. Nothing is sent.
    #[cfg(feature = "aws")]
    pub(super) fn open(
        name: &str,
        config: S3Config,
        opening: &Opening,
    ) -> Result<Self, StorageError> {
        use object_store::aws::{AmazonS3Builder, AmazonS3ConfigKey};

        let endpoint = config.service(name)?;
        let path_style = config.is_path_style();
        let connector = opening.connector()?;
        let mut builder = AmazonS3Builder::new()
            .with_bucket_name(&config.bucket)
            .with_region(&config.region)
            .with_endpoint(client_endpoint(
                name,
                &endpoint,
                &config.bucket,
                path_style,
            )?)
            .with_virtual_hosted_style_request(!path_style)
            .with_client_options(crate::http::client_options(config.allow_http))
            .with_retry(crate::http::retry_config(&opening.settings))
            .with_http_connector(connector.clone());
        match &config.credentials {
            S3CredentialSource::Static(credentials) => {
                builder = builder
                    .with_access_key_id(&credentials.access_key)
                    .with_secret_access_key(credentials.secret_key.expose());
                if let Some(token) = &credentials.session_token {
                    builder = builder.with_token(token.expose());
                }
            }
            S3CredentialSource::WebIdentity {
                role_arn,
                token_file,
            } => {
                let token_file = token_file.to_str().ok_or_else(|| {
                    ConfigError::option(name, "web_identity", "the path of the file is no UTF-8")
                })?;
                builder = builder
                    .with_config(AmazonS3ConfigKey::RoleArn, role_arn)
                    .with_config(AmazonS3ConfigKey::WebIdentityTokenFile, token_file);
            }
            S3CredentialSource::InstanceMetadata => {}
        }
        let store = builder
            .build()
            .map_err(|error| ConfigError::client(name, error))?;
        let credentials = match config.credentials {
            S3CredentialSource::Static(credentials) => CredentialSource::Given(given(credentials)),
            _ => CredentialSource::Provider(Arc::clone(store.credentials())),
        };
        let store = Arc::new(store);
        Ok(Self {
            multipart: Arc::clone(&store) as Arc<dyn MultipartStore>,
            store,
            endpoint,
            bucket: config.bucket,
            region: config.region,
            path_style,
            http: Some(connector.client(config.allow_http)),
            signing_keys: SigningKeys::new(),
            credentials,
        })
    }

    /// The credentials that sign now. Those of the configuration cost nothing; those of the machine are
    /// kept until shortly before they end, and cost one to three requests when they are renewed.
    pub(crate) async fn credentials(&self) -> Result<Credentials, StorageError> {
        match &self.credentials {
            CredentialSource::Given(credentials) => Ok(credentials.clone()),
            #[cfg(feature = "aws")]
            CredentialSource::Provider(provider) => {
                let credential = provider.get_credential().await.map_err(|error| {
                    StorageError::from_store("get credentials for", &self.bucket, "", error)
                })?;
                Ok(Credentials {
                    access_key: credential.key_id.clone(),
                    secret_key: credential.secret_key.as_str().into(),
                    session_token: credential.token.as_deref().map(Into::into),
                })
            }
        }
    }

    /// The credentials that sign now, and the key of the day that is derived of them. It costs what
    /// [`credentials`](Self::credentials) costs.
    pub(crate) async fn signer(
        &self,
        now: OffsetDateTime,
    ) -> Result<(Credentials, Arc<SigningKey>), StorageError> {
        let credentials = self.credentials().await?;
        let key = self
            .signing_keys
            .get(&credentials.secret_key, now, &self.region);
        Ok((credentials, key))
    }
}

fn given(credentials: S3Credentials) -> Credentials {
    Credentials {
        access_key: credentials.access_key,
        secret_key: credentials.secret_key,
        session_token: credentials.session_token,
    }
}

/// The endpoint as the client wants it: with the bucket before the host, where it stands there.
fn client_endpoint(
    name: &str,
    endpoint: &Url,
    bucket: &str,
    path_style: bool,
) -> Result<String, ConfigError> {
    let mut url = endpoint.clone();
    if !path_style {
        let host = format!("{bucket}.{}", url.host_str().unwrap_or_default());
        url.set_host(Some(&host)).map_err(|_| {
            ConfigError::option(
                name,
                "bucket",
                "it cannot stand before the host; call `path_style`",
            )
        })?;
    }
    // Paths are put behind it with a `/` of their own.
    Ok(url.as_str().trim_end_matches('/').to_owned())
}

#[cfg(feature = "aws")]
#[cfg(test)]
mod tests {
    use std::time::Duration;

    use async_trait::async_trait;
    use object_store::aws::AmazonS3Builder;
    use object_store::client::{
        HttpClient as StoreClient, HttpConnector, HttpError, HttpErrorKind, HttpRequest,
        HttpResponse, HttpService,
    };
    use object_store::path::Path;
    use object_store::{ClientOptions, ObjectStoreExt, RetryConfig};

    use super::*;
    use crate::config::ClientSettings;
    use crate::error::StorageErrorKind;

    /// Answers every request with this status, or fails to connect.
    #[derive(Clone, Copy, Debug)]
    struct Answering(Option<u16>);

    #[async_trait]
    impl HttpService for Answering {
        async fn call(&self, _request: HttpRequest) -> Result<HttpResponse, HttpError> {
            match self.0 {
                Some(status) => Ok(http::Response::builder()
                    .status(status)
                    .body("said by the service".to_owned().into())
                    .unwrap()),
                None => Err(HttpError::new(
                    HttpErrorKind::Connect,
                    std::io::Error::other("no way there"),
                )),
            }
        }
    }

    impl HttpConnector for Answering {
        fn connect(&self, _options: &ClientOptions) -> object_store::Result<StoreClient> {
            Ok(StoreClient::new(*self))
        }
    }

    async fn kind_of(answer: Option<u16>) -> StorageErrorKind {
        let store = AmazonS3Builder::new()
            .with_bucket_name("files")
            .with_access_key_id("AKID")
            .with_secret_access_key("hunter2")
            .with_http_connector(Answering(answer))
            .with_retry(RetryConfig {
                max_retries: 0,
                retry_timeout: Duration::ZERO,
                ..RetryConfig::default()
            })
            .build()
            .unwrap();
        let error = store.get(&Path::from("a")).await.unwrap_err();
        let error = StorageError::from_store("read", "default", "a", error);
        let shown = format!("{error} {error:?}");
        assert!(!shown.contains("hunter2"), "{shown}");
        error.kind()
    }

    /// This holds the texts that are looked for against those that `object_store` writes.
    #[tokio::test]
    async fn what_the_service_answers_is_told_apart() {
        let answers = [
            (Some(500), StorageErrorKind::Unavailable),
            (Some(503), StorageErrorKind::Unavailable),
            (Some(429), StorageErrorKind::Unavailable),
            (None, StorageErrorKind::Unavailable),
            (Some(416), StorageErrorKind::InvalidRange),
            (Some(404), StorageErrorKind::NotFound),
            (Some(403), StorageErrorKind::Denied),
            (Some(401), StorageErrorKind::Denied),
            (Some(412), StorageErrorKind::PreconditionFailed),
            (Some(304), StorageErrorKind::NotModified),
            (Some(400), StorageErrorKind::Other),
        ];
        for (answer, kind) in answers {
            assert_eq!(kind_of(answer).await, kind, "{answer:?}");
        }
    }

    #[tokio::test]
    async fn credentials_of_the_configuration_need_no_request() {
        let settings = ClientSettings {
            offline: true,
            ..ClientSettings::default()
        };
        let config = S3Config::minio("http://localhost:9000", "files", "AKID", "hunter2");
        let backend = S3Backend::open("default", config, &Opening::new(settings)).unwrap();
        assert_eq!(backend.endpoint.as_str(), "http://localhost:9000/");
        let credentials = backend.credentials().await.unwrap();
        assert_eq!(credentials.access_key, "AKID");
        assert!(!format!("{credentials:?}").contains("hunter2"));
    }

    #[test]
    fn the_bucket_stands_before_the_host_or_in_the_path() {
        let url = Url::parse("https://s3.example.com:8443").unwrap();
        let client = |path_style| client_endpoint("default", &url, "files", path_style).unwrap();
        assert_eq!(client(false), "https://files.s3.example.com:8443");
        assert_eq!(client(true), "https://s3.example.com:8443");
    }
}
