// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! Plain URLs of public keys: no signature, no end.
//!
//! Only a [`PublicKey`] has one, and only where a rule of the public map says so: the two together keep a
//! private object from being linked by mistake. That everyone may read there is up to the bucket or the
//! CDN; nothing here opens anything.

use url::Url;

use super::address::{below, place_of};
use crate::backend::Backend;
use crate::public_map::{AddressStyle, Route};
use crate::{PublicAccess, PublicKey, Storage, StorageError};

impl Storage {
    /// The URL of a public key, made without a request.
    ///
    /// # Errors
    /// [`StorageError::Unsupported`] where the first rule of the public map for the key is not a public
    /// one; [`StorageError::Key`] where the key is too long with its tenant's prefix.
    ///
    /// # Examples
    /// ```
    /// use forktex_storage::{MemoryConfig, PublicKey, PublicMap, Rule, Storage, StorageConfig};
    ///
    /// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
    /// let map = PublicMap::new()
    ///     .rule(Rule::prefix("avatars/").public_base("https://static.example.com/media"));
    /// let storage = Storage::open(StorageConfig::new(MemoryConfig::new()).public_map(map)).await?;
    ///
    /// let url = storage.public_url(&PublicKey::new("avatars/7 small.png")?)?;
    /// assert_eq!(url.as_str(), "https://static.example.com/media/avatars/7%20small.png");
    /// assert!(storage.public_url(&PublicKey::new("letters/7.txt")?).is_err());
    /// # Ok::<(), forktex_storage::StorageError>(())
    /// # }).unwrap();
    /// ```
    pub fn public_url(&self, key: &PublicKey) -> Result<Url, StorageError> {
        let full = self.full_key(key.key())?;
        let bucket = self.bucket_inner();
        let route = self
            .shared()
            .public_map
            .route(&bucket.name, full.as_str(), PublicAccess::Read);
        let unsupported = |what: &str, remedy: &str| {
            Err(StorageError::unsupported(
                bucket.backend.kind(),
                what,
                remedy,
            ))
        };
        let Route::Public { base } = route else {
            return unsupported(
                "a URL without a signature for a key that the public map does not call public",
                "name the prefix by `Rule::prefix(..).public_base(url)`, or sign a link",
            );
        };
        let text = match (base, &bucket.backend) {
            (Some(base), _) => below(base, full.as_str()),
            (None, Backend::S3(s3)) => {
                let style = if s3.path_style {
                    AddressStyle::Path
                } else {
                    AddressStyle::VirtualHost
                };
                let place = place_of(&s3.endpoint, &s3.bucket, style)?;
                below(
                    &place.endpoint,
                    place.path(full.as_str()).trim_start_matches('/'),
                )
            }
            (None, Backend::Gcs(gcs)) => below(&gcs.endpoint, &format!("{}/{full}", gcs.bucket)),
            (None, Backend::Azure(azure)) => {
                below(&azure.endpoint, &format!("{}/{full}", azure.container))
            }
            (None, Backend::Folder(folder)) => match &folder.signing {
                Some(signing) => below(&signing.base_url, &format!("{}/{full}", bucket.name)),
                None => {
                    return unsupported(
                        "no router serves this folder",
                        "say where it is served by `FolderConfig::serve_at`",
                    );
                }
            },
            (None, Backend::Memory(_)) => {
                return unsupported(
                    "memory has no address of its own",
                    "give the rule one by `.public_base(url)`",
                );
            }
        };
        Url::parse(&text).map_err(|error| StorageError::Other {
            operation: "make the public URL of",
            bucket: bucket.name.clone(),
            key: full.to_string(),
            source: Box::new(error),
        })
    }
}
