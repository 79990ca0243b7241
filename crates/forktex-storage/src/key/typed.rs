// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! Keys that say in their type who may read, and what can be given as a key or a prefix. The types make no
//! rule of the bucket: they keep code from handing a private key to what makes public URLs.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::{Key, KeyError, Prefix};

/// A key under which everyone may read: only such a key has a URL without a signature
/// ([`Storage::public_url`](crate::Storage::public_url)).
///
/// The type says what the code means to do; that the bucket or the CDN serves the key in public is up to
/// their own rules.
///
/// # Examples
/// ```
/// use forktex_storage::PublicKey;
///
/// let logo = PublicKey::new("public/logo.png")?;
/// assert_eq!(logo.to_string(), "public/logo.png");
/// # Ok::<(), forktex_storage::KeyError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct PublicKey(Key);

/// A key that is never served without a signature: it has no direct URL, and none can be asked for.
///
/// # Examples
/// ```
/// use forktex_storage::PrivateKey;
///
/// let invoice = PrivateKey::new("invoices/7.pdf")?;
/// assert_eq!(invoice.key().name(), "7.pdf");
/// # Ok::<(), forktex_storage::KeyError>(())
/// ```
///
/// A public URL of it does not compile:
/// ```compile_fail,E0308
/// use forktex_storage::{PrivateKey, Storage};
///
/// let storage = Storage::memory();
/// let invoice = PrivateKey::new("invoices/7.pdf").unwrap();
/// let url = storage.public_url(&invoice);
/// ```
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct PrivateKey(Key);

/// What the two typed keys have in common.
macro_rules! typed_key {
    ($type:ident) => {
        impl $type {
            /// A key of this text.
            ///
            /// # Errors
            /// [`KeyError`], which says what is wrong with the text.
            pub fn new(key: impl IntoKey) -> Result<Self, KeyError> {
                key.into_key().map(Self)
            }

            /// The key.
            pub fn key(&self) -> &Key {
                &self.0
            }

            /// The text.
            pub fn as_str(&self) -> &str {
                self.0.as_str()
            }
        }

        impl From<$type> for Key {
            fn from(key: $type) -> Self {
                key.0
            }
        }

        impl AsRef<str> for $type {
            fn as_ref(&self) -> &str {
                self.as_str()
            }
        }

        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        into_key!($type, |key| Ok(key.0));
        into_key!(&$type, |key| Ok(key.0.clone()));
    };
}

/// What can be given as a key: a text, a [`Key`], a [`PublicKey`] or a [`PrivateKey`]. Texts are checked
/// when the operation begins.
///
/// It is sealed: other types become one of these first.
pub trait IntoKey: sealed::IntoKey {
    /// The key.
    ///
    /// # Errors
    /// [`KeyError`] where the text is no key.
    fn into_key(self) -> Result<Key, KeyError>;
}

/// What can be given as a prefix: a text or a [`Prefix`]. Texts are checked when the operation begins.
///
/// It is sealed: other types become one of these first.
pub trait IntoPrefix: sealed::IntoPrefix {
    /// The prefix.
    ///
    /// # Errors
    /// [`KeyError`] where the text is no prefix.
    fn into_prefix(self) -> Result<Prefix, KeyError>;
}

mod sealed {
    /// Only this crate can name it.
    pub trait IntoKey {}

    /// Only this crate can name it.
    pub trait IntoPrefix {}
}

macro_rules! into_key {
    ($type:ty, |$key:ident| $body:expr) => {
        impl sealed::IntoKey for $type {}

        impl IntoKey for $type {
            fn into_key(self) -> Result<Key, KeyError> {
                let $key = self;
                $body
            }
        }
    };
}

macro_rules! into_prefix {
    ($type:ty, |$prefix:ident| $body:expr) => {
        impl sealed::IntoPrefix for $type {}

        impl IntoPrefix for $type {
            fn into_prefix(self) -> Result<Prefix, KeyError> {
                let $prefix = self;
                $body
            }
        }
    };
}

into_key!(&str, |key| Key::new(key));
into_key!(String, |key| Key::new(key));
into_key!(&String, |key| Key::new(key.as_str()));
into_key!(Key, |key| Ok(key));
into_key!(&Key, |key| Ok(key.clone()));
typed_key!(PublicKey);
typed_key!(PrivateKey);

into_prefix!(&str, |prefix| Prefix::new(prefix));
into_prefix!(String, |prefix| Prefix::new(prefix));
into_prefix!(&String, |prefix| Prefix::new(prefix.as_str()));
into_prefix!(Prefix, |prefix| Ok(prefix));
into_prefix!(&Prefix, |prefix| Ok(prefix.clone()));
