// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! The URL form of a configuration. It is read by hand: a URL parser would lower-case and re-encode what
//! stands in it, and take a `+` in a key for a space. No error shows any of its values.

use crate::sign::encode::decode;

use super::azure::AzureConfig;
use super::credentials::S3Credentials;
use super::error::ConfigError;
use super::folder::FolderConfig;
use super::gcs::GcsConfig;
use super::s3::S3Config;
use super::{BucketConfig, MemoryConfig, StorageConfig};

/// The longest URL that is read.
const URL_BYTES_MAX: usize = 16 * 1024;

const S3_PARAMETERS: &str = "region, path_style, tls and session_token";
const GCS_PARAMETERS: &str = "service_account";
const AZURE_PARAMETERS: &str = "key";
const FOLDER_PARAMETERS: &str = "base_url and key";
const MEMORY_PARAMETERS: &str = "none";

/// Reads the URL form.
pub(super) fn parse(url: &str) -> Result<StorageConfig, ConfigError> {
    let parts = Parts::split(url)?;
    let scheme = parts.scheme;
    let bucket: BucketConfig = match scheme {
        "s3" => s3(parts)?.into(),
        "gs" => gcs(parts)?.into(),
        "az" => azure(parts)?.into(),
        "folder" => folder(parts)?.into(),
        "memory" => return memory(parts),
        other => {
            return Err(ConfigError::UnknownScheme {
                scheme: scheme_shown(other),
            });
        }
    };
    Ok(StorageConfig::new(bucket))
}

/// The pieces of a URL, decoded.
struct Parts<'a> {
    scheme: &'a str,
    user: Option<(String, String)>,
    host: &'a str,
    /// With its first `/`.
    path: String,
    parameters: Vec<(String, String)>,
}

impl<'a> Parts<'a> {
    fn split(url: &'a str) -> Result<Self, ConfigError> {
        if url.len() > URL_BYTES_MAX {
            return Err(fault("it is longer than 16 KiB"));
        }
        let (scheme, rest) = url.split_once("://").ok_or(fault("it has no `://`"))?;
        if rest.contains('#') {
            return Err(fault("it has a `#`; write it as %23"));
        }
        let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
        let slash = rest.find('/').unwrap_or(rest.len());
        let (authority, path) = rest.split_at(slash);
        let (user, host) = match authority.rsplit_once('@') {
            Some((user, host)) => (Some(credentials(user)?), host),
            None => (None, authority),
        };
        Ok(Self {
            scheme,
            user,
            host,
            path: decoded(path)?,
            parameters: parameters(query)?,
        })
    }

    /// Takes a parameter.
    fn take(&mut self, name: &str) -> Option<String> {
        let at = self
            .parameters
            .iter()
            .position(|(known, _)| known == name)?;
        Some(self.parameters.swap_remove(at).1)
    }

    /// Takes a parameter that is `true` or `false`.
    fn take_flag(&mut self, name: &'static str) -> Result<Option<bool>, ConfigError> {
        match self.take(name).as_deref() {
            None => Ok(None),
            Some("true") => Ok(Some(true)),
            Some("false") => Ok(Some(false)),
            Some(_) => Err(ConfigError::InvalidParameter {
                parameter: name,
                reason: "is neither `true` nor `false`",
            }),
        }
    }

    /// Refuses what nobody took: a misspelt option is not an option that is off.
    fn finish(self, scheme: &'static str, known: &'static str) -> Result<(), ConfigError> {
        match self.parameters.into_iter().next() {
            Some((parameter, _)) => Err(ConfigError::UnknownParameter {
                scheme,
                parameter: scheme_shown(&parameter),
                known,
            }),
            None => Ok(()),
        }
    }

    fn without_user(&self) -> Result<(), ConfigError> {
        match self.user {
            Some(_) => Err(fault("only `s3` takes a user and a password")),
            None => Ok(()),
        }
    }
}

fn s3(mut parts: Parts<'_>) -> Result<S3Config, ConfigError> {
    let region = parts.take("region");
    let is_path_style = parts.take_flag("path_style")?.unwrap_or(false);
    let tls = parts.take_flag("tls")?;
    let session_token = parts.take("session_token");
    let bucket = parts.path.trim_matches('/').to_owned();

    let mut config = if bucket.is_empty() {
        let region = region.ok_or(ConfigError::InvalidParameter {
            parameter: "region",
            reason: "is missing",
        })?;
        if tls == Some(false) {
            return Err(ConfigError::InvalidParameter {
                parameter: "tls",
                reason: "can be `false` only where the URL has a host and a bucket",
            });
        }
        S3Config::new(parts.host, region)
    } else {
        let region = region.unwrap_or_else(|| "us-east-1".to_owned());
        let config = S3Config::new(bucket, region);
        if tls == Some(false) {
            config
                .endpoint(format!("http://{}", parts.host))
                .allow_http()
        } else {
            config.endpoint(format!("https://{}", parts.host))
        }
    };
    if is_path_style {
        config = config.path_style();
    }
    if let Some((access_key, secret_key)) = parts.user.take() {
        let mut credentials = S3Credentials::new(access_key, secret_key);
        if let Some(token) = session_token {
            credentials = credentials.session_token(token);
        }
        config = config.credentials(credentials);
    } else if session_token.is_some() {
        return Err(ConfigError::InvalidParameter {
            parameter: "session_token",
            reason: "needs an access key and a secret key before the host",
        });
    }
    parts.finish("s3", S3_PARAMETERS)?;
    Ok(config)
}

fn gcs(mut parts: Parts<'_>) -> Result<GcsConfig, ConfigError> {
    parts.without_user()?;
    parts.no_path()?;
    let mut config = GcsConfig::new(parts.host);
    if let Some(path) = parts.take("service_account") {
        config = config.service_account_file(path);
    }
    parts.finish("gs", GCS_PARAMETERS)?;
    Ok(config)
}

fn azure(mut parts: Parts<'_>) -> Result<AzureConfig, ConfigError> {
    parts.without_user()?;
    let mut config = AzureConfig::new(parts.host, parts.path.trim_matches('/'));
    if let Some(key) = parts.take("key") {
        config = config.access_key(key);
    }
    parts.finish("az", AZURE_PARAMETERS)?;
    Ok(config)
}

fn folder(mut parts: Parts<'_>) -> Result<FolderConfig, ConfigError> {
    parts.without_user()?;
    if !parts.host.is_empty() {
        return Err(fault("a folder has three slashes: `folder:///srv/files`"));
    }
    let mut config = FolderConfig::new(parts.path.as_str());
    match (parts.take("base_url"), parts.take("key")) {
        (Some(base_url), Some(key)) => config = config.serve_at(base_url, key),
        (None, None) => {}
        (Some(_), None) => {
            return Err(ConfigError::InvalidParameter {
                parameter: "key",
                reason: "is missing: `base_url` needs it",
            });
        }
        (None, Some(_)) => {
            return Err(ConfigError::InvalidParameter {
                parameter: "base_url",
                reason: "is missing: `key` needs it",
            });
        }
    }
    parts.finish("folder", FOLDER_PARAMETERS)?;
    Ok(config)
}

fn memory(parts: Parts<'_>) -> Result<StorageConfig, ConfigError> {
    parts.without_user()?;
    parts.no_path()?;
    let config = match parts.host {
        "" => StorageConfig::new(MemoryConfig::new()),
        name => StorageConfig::named(name, MemoryConfig::new()),
    };
    parts.finish("memory", MEMORY_PARAMETERS)?;
    Ok(config)
}

impl Parts<'_> {
    fn no_path(&self) -> Result<(), ConfigError> {
        if self.path.trim_matches('/').is_empty() {
            return Ok(());
        }
        Err(fault(
            "it has a path behind the bucket; prefixes are no part of it",
        ))
    }
}

/// `KEY:SECRET`, both encoded.
fn credentials(user: &str) -> Result<(String, String), ConfigError> {
    let (access_key, secret_key) = user.split_once(':').ok_or(fault(
        "before the host there are an access key, `:` and a secret key",
    ))?;
    Ok((decoded(access_key)?, decoded(secret_key)?))
}

fn parameters(query: &str) -> Result<Vec<(String, String)>, ConfigError> {
    query
        .split('&')
        .filter(|pair| !pair.is_empty())
        .map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            Ok((decoded(name)?, decoded(value)?))
        })
        .collect()
}

fn decoded(text: &str) -> Result<String, ConfigError> {
    decode(text).ok_or(fault(
        "a `%` in it is not followed by two digits of hex, or not by UTF-8",
    ))
}

/// A scheme or a parameter's name as an error shows it. Whoever forgot the scheme or a `&` may have
/// written a secret there.
fn scheme_shown(name: &str) -> String {
    let is_plain = name.len() <= 24
        && name
            .bytes()
            .all(|byte| byte.is_ascii_lowercase() || byte == b'_' || byte == b'-');
    if is_plain {
        name.to_owned()
    } else {
        "..".to_owned()
    }
}

fn fault(reason: &'static str) -> ConfigError {
    ConfigError::InvalidStorageUrl { reason }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::s3::S3CredentialSource;

    fn bucket(url: &str) -> BucketConfig {
        let config = StorageConfig::from_url(url).unwrap();
        config.check().unwrap();
        config.buckets.into_iter().next().unwrap().1
    }

    #[test]
    fn a_minio_has_host_port_and_bucket() {
        let url =
            "s3://k%40y:s%2Fe+c@minio.example:9000/Files?region=eu-1&path_style=true&tls=false";
        let BucketConfig::S3(config) = bucket(url) else {
            panic!("no S3");
        };
        assert_eq!(config.bucket, "Files");
        assert_eq!(config.region, "eu-1");
        assert!(config.is_path_style());
        let service = config.service("default").unwrap();
        assert_eq!(service.as_str(), "http://minio.example:9000/");
        let S3CredentialSource::Static(credentials) = config.credentials else {
            panic!("no credentials");
        };
        assert_eq!(credentials.access_key, "k@y");
        assert_eq!(credentials.secret_key.expose(), "s/e+c");
    }

    #[test]
    fn a_bucket_alone_is_one_of_aws() {
        let BucketConfig::S3(config) = bucket("s3://files?region=eu-west-1") else {
            panic!("no S3");
        };
        assert_eq!(config.bucket, "files");
        assert!(matches!(
            config.credentials,
            S3CredentialSource::InstanceMetadata
        ));
        let BucketConfig::S3(config) = bucket("s3://k:s@files?region=eu-west-1") else {
            panic!("no S3");
        };
        assert!(matches!(config.credentials, S3CredentialSource::Static(_)));
    }

    #[test]
    fn the_other_schemes_are_read() {
        assert!(matches!(
            bucket("gs://files?service_account=/a.json"),
            BucketConfig::Gcs(_)
        ));
        let BucketConfig::Azure(config) = bucket("az://account/files?key=c2Vj+mV0") else {
            panic!("no Azure");
        };
        assert_eq!(config.access_key.unwrap().expose(), "c2Vj+mV0");
        let key = "k".repeat(32);
        let url = format!("folder:///srv/my%20files?base_url=http://localhost:80/f&key={key}");
        let BucketConfig::Folder(config) = bucket(&url) else {
            panic!("no folder");
        };
        assert_eq!(config.path.to_str(), Some("/srv/my files"));
        let config = StorageConfig::from_url("memory://scratch").unwrap();
        assert_eq!(config.buckets[0].0, "scratch");
    }

    #[test]
    fn a_mistake_is_told_without_the_url() {
        let secret = "hunter2HUNTER2";
        for url in [
            format!("s3:{secret}"),
            format!("{secret}://files"),
            format!("s3://{secret}@files?region=a"),
            format!("s3://k:{secret}%zz@files?region=a"),
            format!("s3://k:{secret}@files"),
            format!("s3://k:{secret}@files?region=a&tls=false"),
            format!("s3://k:{secret}@host/files?pathstyle=true"),
            format!("s3://k:{secret}@host/files?{secret}"),
            format!("s3://k:{secret}@host/files?tls={secret}"),
            format!("s3://files?region=a&session_token={secret}"),
            format!("s3://k:{secret}#@files?region=a"),
            format!("gs://k:{secret}@files"),
            format!("gs://files/more?service_account={secret}"),
            format!("az://account/files?password={secret}"),
            format!("folder://srv/files?key={secret}"),
            format!("folder:///srv/files?key={secret}"),
            format!("memory://a/b?key={secret}"),
        ] {
            let error = StorageConfig::from_url(&url).unwrap_err();
            let shown = format!("{error} {error:?}");
            assert!(!shown.contains(secret), "{shown}");
        }
    }
}
