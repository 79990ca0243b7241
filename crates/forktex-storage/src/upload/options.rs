// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! The options of a write, which `put` and `upload` share, and the checks of them that need no request.

use std::collections::BTreeMap;
use std::fmt;

use object_store::{PutMode, UpdateVersion};

use crate::attributes::{Description, check_cache_control, check_metadata};
use crate::checksum::Sha256Digest;
use crate::content_type::ContentType;
use crate::disposition;
use crate::error::StorageError;

/// Which object the write may replace.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) enum Condition {
    /// Any, or none.
    #[default]
    None,
    /// None.
    Absent,
    /// The one with this `ETag`.
    ETag(String),
}

impl Condition {
    /// As `object_store` has it. GCS wants a generation, which the caller adds.
    pub(crate) fn mode(&self, version: Option<String>) -> PutMode {
        match self {
            Self::None => PutMode::Overwrite,
            Self::Absent => PutMode::Create,
            Self::ETag(etag) => PutMode::Update(UpdateVersion {
                e_tag: Some(etag.clone()),
                version,
            }),
        }
    }
}

/// A look at how many bytes arrived, all of them, before any is visible. It may refuse them.
pub(crate) type Check = Box<dyn FnOnce(u64) -> Result<(), StorageError> + Send>;

/// The options of a write.
#[derive(Default)]
pub(crate) struct WriteOptions {
    pub(crate) content_type: Option<String>,
    pub(crate) metadata: BTreeMap<String, String>,
    pub(crate) cache_control: Option<String>,
    pub(crate) download_as: Option<String>,
    pub(crate) inline: bool,
    pub(crate) condition: Condition,
    pub(crate) sha256: Option<Sha256Digest>,
    pub(crate) bytes_max: Option<u64>,
    pub(crate) check: Option<Check>,
    /// What is stored instead of all that is said above: the description of the object that is copied.
    pub(crate) copied: Option<Description>,
}

impl fmt::Debug for WriteOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WriteOptions")
            .field("content_type", &self.content_type)
            .field("metadata", &self.metadata)
            .field("cache_control", &self.cache_control)
            .field("download_as", &self.download_as)
            .field("inline", &self.inline)
            .field("condition", &self.condition)
            .field("sha256", &self.sha256)
            .field("bytes_max", &self.bytes_max)
            .finish_non_exhaustive()
    }
}

impl WriteOptions {
    /// Refuses what no backend could store.
    pub(crate) fn check(&self) -> Result<(), StorageError> {
        check_metadata(&self.metadata)?;
        if let Some(value) = &self.cache_control {
            check_cache_control(value)?;
        }
        self.given_content_type().map(drop)
    }

    /// What is stored beside the bytes that begin with `first_bytes`, under a key with this last segment.
    pub(crate) fn describe(
        &self,
        first_bytes: &[u8],
        key_name: &str,
        sha256: Option<Sha256Digest>,
    ) -> Result<Description, StorageError> {
        if let Some(copied) = &self.copied {
            return Ok(Description {
                sha256: copied.sha256.or(sha256),
                ..copied.clone()
            });
        }
        let name = self.download_as.as_deref().unwrap_or(key_name);
        let found = ContentType::sniff(first_bytes, name);
        let content_type = self.given_content_type()?.unwrap_or_else(|| found.clone());
        // Bytes that are a page are saved, even if they are called a picture.
        let is_active = content_type.is_active() || found.is_active();
        let content_disposition = match (self.inline, &self.download_as) {
            (true, _) => Some(disposition::inline(name)),
            (false, Some(_)) => Some(disposition::attachment(name)),
            (false, None) if is_active => Some(disposition::attachment(name)),
            (false, None) => None,
        };
        Ok(Description {
            content_type: Some(content_type),
            content_disposition,
            cache_control: self.cache_control.clone(),
            metadata: self.metadata.clone(),
            sha256: self.sha256.or(sha256),
        })
    }

    fn given_content_type(&self) -> Result<Option<ContentType>, StorageError> {
        self.content_type
            .as_deref()
            .map(ContentType::new)
            .transpose()
            .map_err(|error| StorageError::option("content_type", error.to_string()))
    }
}

/// The options that `Put` and `UploadOptions` have in common, once for both.
macro_rules! write_options {
    () => {
        /// The content type. Without it the type is told by the first 512 bytes, then by the ending of
        /// the name: see [`ContentType::sniff`](crate::ContentType::sniff).
        pub fn content_type(mut self, content_type: impl Into<String>) -> Self {
            self.options.content_type = Some(content_type.into());
            self
        }

        /// A word about the object. Names have `a` to `z`, `0` to `9` and `-`, a letter first, at most 64
        /// bytes; values are visible ASCII; all together have at most 1,900 bytes.
        pub fn metadata(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
            self.options.metadata.insert(name.into(), value.into());
            self
        }

        /// How long browsers and CDNs keep it: a `Cache-Control` such as `public, max-age=3600`.
        pub fn cache_control(mut self, value: impl Into<String>) -> Self {
            self.options.cache_control = Some(value.into());
            self
        }

        /// Makes browsers save the object, under this name. Characters that a name cannot safely have
        /// are replaced, and it is cut to 255 bytes.
        pub fn download_as(mut self, name: impl Into<String>) -> Self {
            self.options.download_as = Some(name.into());
            self
        }

        /// Lets browsers show the object, even if it is active: HTML, SVG, XML, scripts. Say this only
        /// of what you wrote yourself, or serve it from a host that has no cookies.
        pub fn inline(mut self) -> Self {
            self.options.inline = true;
            self
        }

        /// Writes only if there is no such object. It replaces an
        /// [`if_match`](Self::if_match) that was said before.
        pub fn if_absent(mut self) -> Self {
            self.options.condition = crate::upload::options::Condition::Absent;
            self
        }

        /// Writes only over the object with this `ETag`, as it was read. It replaces an
        /// [`if_absent`](Self::if_absent) that was said before. On GCS it costs one more request.
        pub fn if_match(mut self, etag: impl Into<String>) -> Self {
            self.options.condition = crate::upload::options::Condition::ETag(etag.into());
            self
        }

        /// The digest that the bytes must have. It is compared before anything becomes visible, and
        /// stored.
        pub fn sha256(mut self, digest: crate::Sha256Digest) -> Self {
            self.options.sha256 = Some(digest);
            self
        }

        /// The most bytes that are taken. Without it the limit is 5 TiB.
        pub fn bytes_max(mut self, bytes_max: u64) -> Self {
            self.options.bytes_max = Some(bytes_max);
            self
        }
    };
}

pub(crate) use write_options;

#[cfg(test)]
mod tests {
    use super::*;

    fn describe(options: &WriteOptions, bytes: &[u8], name: &str) -> Description {
        options.describe(bytes, name, None).unwrap()
    }

    #[test]
    fn active_content_is_saved_unless_it_is_said_to_be_shown() {
        let plain = WriteOptions::default();
        assert_eq!(
            describe(&plain, b"<html>", "a.png")
                .content_disposition
                .as_deref(),
            Some("attachment; filename=\"a.png\"")
        );
        assert_eq!(
            describe(&plain, b"%PDF-1.7", "a.pdf").content_disposition,
            None
        );

        let shown = WriteOptions {
            inline: true,
            ..WriteOptions::default()
        };
        assert_eq!(
            describe(&shown, b"<html>", "a.html")
                .content_disposition
                .as_deref(),
            Some("inline; filename=\"a.html\"")
        );
    }

    #[test]
    fn a_page_that_is_called_a_picture_is_saved_all_the_same() {
        let lying = WriteOptions {
            content_type: Some("image/png".to_owned()),
            ..WriteOptions::default()
        };
        let description = describe(&lying, b"<script>", "a.png");
        assert_eq!(description.content_type.unwrap().as_str(), "image/png");
        assert!(
            description
                .content_disposition
                .unwrap()
                .starts_with("attachment")
        );
    }

    #[test]
    fn the_name_to_save_as_also_tells_the_type() {
        let named = WriteOptions {
            download_as: Some("table.csv".to_owned()),
            ..WriteOptions::default()
        };
        let description = describe(&named, b"a,b", "0198c0de");
        assert_eq!(description.content_type.unwrap().as_str(), "text/csv");
    }

    #[test]
    fn wrong_options_are_refused_before_anything_is_sent() {
        for options in [
            WriteOptions {
                content_type: Some("png".to_owned()),
                ..WriteOptions::default()
            },
            WriteOptions {
                cache_control: Some("a\nb".to_owned()),
                ..WriteOptions::default()
            },
            WriteOptions {
                metadata: BTreeMap::from([("A B".to_owned(), String::new())]),
                ..WriteOptions::default()
            },
        ] {
            assert!(options.check().is_err(), "{options:?}");
        }
        assert!(WriteOptions::default().check().is_ok());
    }
}
