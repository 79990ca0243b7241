// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! What the two request signers, of S3 and of GCS, have in common: the request, and its headers as
//! they are signed.
//!
//! Names and values that a client could not send just as they were signed are refused.

use url::Url;

use super::{SignError, encode};

/// A request that a client will make, to be signed into its URL.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// The method, in upper case.
    pub method: &'a str,
    /// Scheme and authority of the host that the client calls; with the bucket in front for the
    /// virtual-host style. No path, query, fragment or user.
    pub endpoint: &'a Url,
    /// The path, not encoded, from its `/`; with the bucket in front for the path style.
    pub path: &'a str,
    /// Parameters of the operation, not encoded, such as `response-content-type` or `uploadId`.
    pub query: &'a [(String, String)],
    /// Headers that the client must send, besides `host`; the names in lower case.
    pub headers: &'a [(String, String)],
}

/// Headers as both services sign them.
pub(crate) struct Headers {
    /// `name:value` lines, each with its line feed.
    pub(crate) lines: String,
    /// The names, joined by `;`.
    pub(crate) names: String,
}

/// The host, with its port where that is not the scheme's own: what a client sends as `Host`.
pub(crate) fn authority(endpoint: &Url) -> Result<String, SignError> {
    let host = endpoint.host_str().unwrap_or_default();
    let refuse = |reason| SignError::InvalidEndpoint {
        endpoint: host.to_owned(),
        reason,
    };
    if !matches!(endpoint.scheme(), "http" | "https") {
        return Err(refuse("its scheme is neither http nor https"));
    }
    if host.is_empty() {
        return Err(refuse("it has no host"));
    }
    if !endpoint.username().is_empty() || endpoint.password().is_some() {
        return Err(refuse("it holds a user or a password"));
    }
    if endpoint.query().is_some() || endpoint.fragment().is_some() {
        return Err(refuse("it has a query or a fragment"));
    }
    Ok(match endpoint.port() {
        Some(port) => format!("{host}:{port}"),
        None => host.to_owned(),
    })
}

/// As [`authority`], of an endpoint that may not have a path either.
pub(crate) fn bare_authority(endpoint: &Url) -> Result<String, SignError> {
    if matches!(endpoint.path(), "" | "/") {
        authority(endpoint)
    } else {
        Err(SignError::InvalidEndpoint {
            endpoint: endpoint.host_str().unwrap_or_default().to_owned(),
            reason: "it has a path; a signature covers the whole path, so that none can be put before",
        })
    }
}

/// The path as it is signed and printed.
pub(crate) fn path(path: &str) -> Result<String, SignError> {
    if path.starts_with('/') {
        Ok(encode::encode_path(path))
    } else {
        Err(SignError::InvalidPath {
            path: path.to_owned(),
            reason: "it must begin with a slash",
        })
    }
}

/// The headers in the order and form in which they are signed: by name, white space collapsed.
pub(crate) fn headers(host: &str, extra: &[(String, String)]) -> Result<Headers, SignError> {
    let mut sorted: Vec<(&str, &str)> = Vec::with_capacity(extra.len() + 1);
    sorted.push(("host", host));
    for (name, value) in extra {
        check_header(name, value)?;
        sorted.push((name.as_str(), value.as_str()));
    }
    sorted.sort_unstable();

    let mut lines = String::with_capacity(64);
    let mut names = String::with_capacity(32);
    let mut previous = "";
    for (name, value) in sorted {
        if name == previous {
            return Err(SignError::InvalidField {
                name: name.to_owned(),
                reason: "the header is given twice, or is `host`, which the endpoint says",
            });
        }
        previous = name;
        if !names.is_empty() {
            names.push(';');
        }
        names.push_str(name);
        lines.push_str(name);
        lines.push(':');
        for (place, word) in value.split_whitespace().enumerate() {
            if place > 0 {
                lines.push(' ');
            }
            lines.push_str(word);
        }
        lines.push('\n');
    }
    Ok(Headers { lines, names })
}

fn check_header(name: &str, value: &str) -> Result<(), SignError> {
    let refuse = |reason| {
        Err(SignError::InvalidField {
            name: name.to_owned(),
            reason,
        })
    };
    let is_name = |byte: u8| {
        byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-' || byte == b'_'
    };
    if name.is_empty() || !name.bytes().all(is_name) {
        return refuse("a header's name has lower-case letters, digits and dashes only");
    }
    if value.chars().any(char::is_control) {
        return refuse("a header's value has no control characters");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pair(name: &str, value: &str) -> (String, String) {
        (name.to_owned(), value.to_owned())
    }

    #[test]
    fn headers_are_sorted_and_their_white_space_is_collapsed() {
        let found = headers(
            "h:9000",
            &[pair("x-amz-b", "  a   b "), pair("content-type", "t/t")],
        );
        let found = found.unwrap();
        assert_eq!(found.lines, "content-type:t/t\nhost:h:9000\nx-amz-b:a b\n");
        assert_eq!(found.names, "content-type;host;x-amz-b");
    }

    #[test]
    fn headers_that_a_client_could_not_send_are_refused() {
        for bad in [
            pair("Content-Type", "a"),
            pair("", "a"),
            pair("a b", "a"),
            pair("a", "b\nc"),
            pair("host", "other"),
        ] {
            assert!(headers("h", std::slice::from_ref(&bad)).is_err(), "{bad:?}");
        }
        assert!(headers("h", &[pair("a", "1"), pair("a", "2")]).is_err());
    }

    #[test]
    fn endpoints_that_would_break_a_signature_are_refused() {
        for bad in [
            "ftp://host",
            "https://user@host",
            "https://host/path",
            "https://host/?a=b",
            "https://host/#f",
        ] {
            assert!(bare_authority(&Url::parse(bad).unwrap()).is_err(), "{bad}");
        }
        let port = |text| bare_authority(&Url::parse(text).unwrap()).unwrap();
        assert_eq!(port("http://host:9000"), "host:9000");
        assert_eq!(port("https://host:443/"), "host");
        assert_eq!(port("http://[::1]:9000"), "[::1]:9000");
    }
}
