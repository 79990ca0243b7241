// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! What is kept beside an object's bytes: its type, how browsers treat it, and metadata.
//!
//! Everything here travels in HTTP headers, so a text that a header cannot hold is refused before anything
//! is sent: services change or drop such texts in silence.

use std::collections::BTreeMap;

use object_store::{Attribute, Attributes};

use crate::backend::BackendKind;
use crate::checksum::Sha256Digest;
use crate::content_type::ContentType;
use crate::error::StorageError;

/// The metadata that holds the digest of the whole object.
pub(crate) const SHA256_NAME: &str = "forktex-sha256";

/// The most bytes of all names and values together. S3 allows 2,048, and our own need some of them.
const METADATA_BYTES_MAX: usize = 1_900;

/// The most bytes of a name.
const NAME_BYTES_MAX: usize = 64;

/// What is kept beside the bytes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Description {
    pub(crate) content_type: Option<ContentType>,
    pub(crate) content_disposition: Option<String>,
    pub(crate) cache_control: Option<String>,
    pub(crate) metadata: BTreeMap<String, String>,
    pub(crate) sha256: Option<Sha256Digest>,
}

impl Description {
    /// As `object_store` sends it to a backend of this kind.
    pub(crate) fn to_attributes(&self, backend: BackendKind) -> Attributes {
        let mut attributes = Attributes::new();
        let known = [
            (
                Attribute::ContentType,
                self.content_type.as_ref().map(ToString::to_string),
            ),
            (
                Attribute::ContentDisposition,
                self.content_disposition.clone(),
            ),
            (Attribute::CacheControl, self.cache_control.clone()),
        ];
        for (attribute, value) in known {
            if let Some(value) = value {
                attributes.insert(attribute, value.into());
            }
        }
        for (name, value) in &self.metadata {
            attributes.insert(metadata(name, backend), value.clone().into());
        }
        if let Some(digest) = self.sha256 {
            attributes.insert(metadata(SHA256_NAME, backend), digest.to_string().into());
        }
        attributes
    }

    /// As a backend of this kind answered it. What others stored and this crate would not is left as it
    /// is; only a type or a digest that is none is dropped.
    pub(crate) fn from_attributes(attributes: &Attributes, backend: BackendKind) -> Self {
        let mut description = Self::default();
        for (attribute, value) in attributes {
            let value: &str = value.as_ref();
            match attribute {
                Attribute::ContentType => description.content_type = ContentType::new(value).ok(),
                Attribute::ContentDisposition => {
                    description.content_disposition = Some(value.to_owned());
                }
                Attribute::CacheControl => description.cache_control = Some(value.to_owned()),
                Attribute::Metadata(name) => {
                    let name = name_of(name, backend);
                    if name == SHA256_NAME {
                        description.sha256 = value.parse().ok();
                    } else {
                        description.metadata.insert(name, value.to_owned());
                    }
                }
                _ => {}
            }
        }
        description
    }
}

/// Azure takes only names that C# would, so that `-` is written as `_` there. Names have no `_` of their
/// own, so that it is read back as it was.
fn metadata(name: &str, backend: BackendKind) -> Attribute {
    let name = match backend {
        BackendKind::Azure => name.replace('-', "_"),
        _ => name.to_owned(),
    };
    Attribute::Metadata(name.into())
}

fn name_of(stored: &str, backend: BackendKind) -> String {
    match backend {
        BackendKind::Azure => stored.replace('_', "-").to_ascii_lowercase(),
        _ => stored.to_ascii_lowercase(),
    }
}

/// Checks metadata before it is sent.
pub(crate) fn check_metadata(metadata: &BTreeMap<String, String>) -> Result<(), StorageError> {
    let refuse = |reason: String| Err(StorageError::option("metadata", reason));
    let mut bytes = 0;
    for (name, value) in metadata {
        if !is_name(name) {
            return refuse(format!(
                "the name {name:?} is not 1 to 64 of `a` to `z`, `0` to `9` and `-`, a letter first"
            ));
        }
        if name == SHA256_NAME {
            return refuse(format!(
                "`{SHA256_NAME}` is set by this library; use `sha256`"
            ));
        }
        if !is_header_text(value) {
            return refuse(format!(
                "the value of `{name}` has characters that a header cannot hold; encode it as base64"
            ));
        }
        bytes += name.len() + value.len();
    }
    if bytes > METADATA_BYTES_MAX {
        return refuse(format!(
            "names and values have {bytes} bytes, and {METADATA_BYTES_MAX} are allowed; store an object"
        ));
    }
    Ok(())
}

/// Checks a `Cache-Control` before it is sent.
pub(crate) fn check_cache_control(value: &str) -> Result<(), StorageError> {
    if value.is_empty() || !is_header_text(value) {
        return Err(StorageError::option(
            "cache_control",
            "it is empty or has characters that a header cannot hold",
        ));
    }
    Ok(())
}

fn is_name(name: &str) -> bool {
    name.len() <= NAME_BYTES_MAX
        && name.starts_with(|c: char| c.is_ascii_lowercase())
        && name
            .bytes()
            .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
}

/// Whether the text arrives as it is: visible ASCII and spaces, no space at an end.
fn is_header_text(text: &str) -> bool {
    text.bytes().all(|byte| matches!(byte, b' '..=b'~')) && text.trim() == text
}

#[cfg(test)]
mod tests {
    use super::*;

    const KINDS: [BackendKind; 5] = [
        BackendKind::S3,
        BackendKind::Gcs,
        BackendKind::Azure,
        BackendKind::Folder,
        BackendKind::Memory,
    ];

    fn described() -> Description {
        Description {
            content_type: Some(ContentType::new("text/plain; charset=utf-8").unwrap()),
            content_disposition: Some("attachment; filename=\"a\"".to_owned()),
            cache_control: Some("no-store".to_owned()),
            metadata: BTreeMap::from([("up-loader".to_owned(), "u 1".to_owned())]),
            sha256: Some(Sha256Digest::of("a")),
        }
    }

    #[test]
    fn what_was_described_is_read_back_on_each_backend() {
        for kind in KINDS {
            let attributes = described().to_attributes(kind);
            assert_eq!(attributes.len(), 5);
            assert_eq!(Description::from_attributes(&attributes, kind), described());
        }
    }

    #[test]
    fn azure_gets_names_that_it_takes() {
        let attributes = described().to_attributes(BackendKind::Azure);
        for (attribute, _) in &attributes {
            if let Attribute::Metadata(name) = attribute {
                assert!(!name.contains('-'), "{name}");
            }
        }
    }

    #[test]
    fn names_and_values_that_headers_change_are_refused() {
        let check = |name: &str, value: &str| {
            check_metadata(&BTreeMap::from([(name.to_owned(), value.to_owned())]))
        };
        assert!(check("owner", "").is_ok());
        assert!(check("owner-id-2", "a b; c=\"d\"").is_ok());
        for name in [
            "",
            "Owner",
            "1a",
            "-a",
            "a_b",
            "a b",
            "\u{e4}",
            "forktex-sha256",
            &"a".repeat(65),
        ] {
            assert!(check(name, "x").is_err(), "{name}");
        }
        for value in [" a", "a ", "a\r\nb", "\u{e4}", "a\tb", &"x".repeat(1_900)] {
            assert!(check("owner", value).is_err(), "{value:?}");
        }
        assert!(check_cache_control("public, max-age=60").is_ok());
        assert!(check_cache_control("a\nb").is_err());
        assert!(check_cache_control("").is_err());
    }
}
