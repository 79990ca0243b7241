// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! Secrets of the configuration: wiped when dropped, and shown by nothing.

use std::fmt;

use zeroize::Zeroizing;

/// A text that nobody may read in a log: a secret key, a password, a private key.
///
/// `Debug` shows `Secret(..)`, there is no `Display`, and the memory is wiped when it is dropped.
///
/// # Examples
/// ```
/// use forktex_storage::Secret;
///
/// let secret = Secret::from("hunter2");
/// assert_eq!(format!("{secret:?}"), "Secret(..)");
/// ```
#[derive(Clone)]
pub struct Secret(Zeroizing<String>);

impl Secret {
    /// A secret of this text.
    pub fn new(text: impl Into<String>) -> Self {
        Self(Zeroizing::new(text.into()))
    }

    /// The text. It goes into a signature or a request, and nowhere else.
    pub(crate) fn expose(&self) -> &str {
        &self.0
    }

    /// How many bytes it has.
    pub(crate) fn bytes(&self) -> usize {
        self.0.len()
    }
}

impl From<&str> for Secret {
    fn from(text: &str) -> Self {
        Self::new(text)
    }
}

impl From<String> for Secret {
    fn from(text: String) -> Self {
        Self::new(text)
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}

/// The credentials of S3: an access key, its secret key, and the token of a temporary session.
///
/// # Examples
/// ```
/// use forktex_storage::S3Credentials;
///
/// let credentials = S3Credentials::new("AKIDEXAMPLE", "wJalrXUtnFEMI").session_token("token");
/// assert!(!format!("{credentials:?}").contains("wJalr"));
/// ```
#[derive(Clone, Debug)]
#[cfg_attr(
    not(feature = "aws"),
    allow(dead_code, reason = "without it no such bucket is opened")
)]
pub struct S3Credentials {
    pub(crate) access_key: String,
    pub(crate) secret_key: Secret,
    pub(crate) session_token: Option<Secret>,
}

impl S3Credentials {
    /// An access key and its secret key.
    pub fn new(access_key: impl Into<String>, secret_key: impl Into<Secret>) -> Self {
        Self {
            access_key: access_key.into(),
            secret_key: secret_key.into(),
            session_token: None,
        }
    }

    /// The token of a temporary session. When the session ends, requests and links are refused: open the
    /// storage anew before.
    pub fn session_token(mut self, token: impl Into<Secret>) -> Self {
        self.session_token = Some(token.into());
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_secret_is_shown() {
        let credentials = S3Credentials::new("AKID", "hunter2").session_token("hunter3");
        let shown = format!("{credentials:?} {credentials:#?}");
        assert!(
            !shown.contains("hunter") && shown.contains("AKID"),
            "{shown}"
        );
        assert_eq!(credentials.secret_key.expose(), "hunter2");
    }
}
