// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! Where a bucket stands in an address: in the path, or in front of the host.

use std::borrow::Cow;

use url::Url;

use crate::StorageError;
use crate::public_map::AddressStyle;
use crate::sign::encode::encode_path;

/// An endpoint with the bucket in its place.
#[derive(Clone, Debug)]
pub(crate) struct Place<'a> {
    /// Scheme and authority of the host that the client calls.
    pub(crate) endpoint: Cow<'a, Url>,
    /// The bucket, where it stands in the path.
    pub(crate) bucket_in_path: Option<&'a str>,
}

impl Place<'_> {
    /// The path of a key, not encoded.
    pub(crate) fn path(&self, key: &str) -> String {
        match self.bucket_in_path {
            Some(bucket) => format!("/{bucket}/{key}"),
            None => format!("/{key}"),
        }
    }
}

/// The place of a bucket at an endpoint.
pub(crate) fn place_of<'a>(
    endpoint: &'a Url,
    bucket: &'a str,
    style: AddressStyle,
) -> Result<Place<'a>, StorageError> {
    if style == AddressStyle::Path {
        return Ok(Place {
            endpoint: Cow::Borrowed(endpoint),
            bucket_in_path: Some(bucket),
        });
    }
    let host = endpoint.host_str().unwrap_or_default();
    let mut virtual_host = endpoint.clone();
    virtual_host
        .set_host(Some(&format!("{bucket}.{host}")))
        .map_err(|_| {
            StorageError::option(
                "path_style",
                format!("`{bucket}` cannot stand in front of `{host}` as a host; say path style"),
            )
        })?;
    Ok(Place {
        endpoint: Cow::Owned(virtual_host),
        bucket_in_path: None,
    })
}

/// The URL of a key below a base, without a signature.
pub(crate) fn below(base: &Url, key: &str) -> String {
    format!(
        "{}/{}",
        base.as_str().trim_end_matches('/'),
        encode_path(key)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_stands_in_the_path_or_in_front_of_the_host() {
        let endpoint = Url::parse("https://s3.example.com:9000").unwrap();
        let path = place_of(&endpoint, "files", AddressStyle::Path).unwrap();
        assert_eq!(path.endpoint.as_str(), "https://s3.example.com:9000/");
        assert_eq!(path.path("a b"), "/files/a b");
        let host = place_of(&endpoint, "files", AddressStyle::VirtualHost).unwrap();
        assert_eq!(host.endpoint.as_str(), "https://files.s3.example.com:9000/");
        assert_eq!(host.path("a b"), "/a b");
    }

    #[test]
    fn a_bucket_that_is_no_host_is_refused() {
        let endpoint = Url::parse("https://s3.example.com").unwrap();
        assert!(place_of(&endpoint, "a b", AddressStyle::VirtualHost).is_err());
    }

    #[test]
    fn a_key_below_a_base_is_encoded_once() {
        for base in ["https://cdn.example/files", "https://cdn.example/files/"] {
            let base = Url::parse(base).unwrap();
            let url = below(&base, "a b/ä?#%20+.png");
            assert_eq!(
                url,
                "https://cdn.example/files/a%20b/%C3%A4%3F%23%2520%2B.png"
            );
        }
    }
}
