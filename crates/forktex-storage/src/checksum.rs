// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! SHA-256: what an object is compared with, on the way up and on the way down.
//!
//! A digest tells that bytes are the ones that were meant. It refuses to stand for a signature: who may
//! write an object may write its digest too.

use std::fmt;
use std::str::FromStr;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use data_encoding::{HEXLOWER, HEXLOWER_PERMISSIVE};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use sha2::{Digest, Sha256};

/// How many bytes are hashed before other tasks of the runtime get their turn.
const HASHED_AT_ONCE_BYTES: usize = 1024 * 1024;

/// The SHA-256 digest of some bytes.
///
/// It is written and read as 64 hexadecimal digits, also by serde.
///
/// # Examples
/// ```
/// use forktex_storage::Sha256Digest;
///
/// let digest = Sha256Digest::of("abc");
/// assert_eq!(
///     digest.to_string(),
///     "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
/// );
/// assert_eq!(digest.to_string().parse::<Sha256Digest>()?, digest);
/// # Ok::<(), forktex_storage::InvalidDigest>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Sha256Digest([u8; 32]);

impl Sha256Digest {
    /// The digest of `bytes`. It works on the calling thread, about a millisecond for each megabyte.
    pub fn of(bytes: impl AsRef<[u8]>) -> Self {
        Self(Sha256::digest(bytes.as_ref()).into())
    }

    /// A digest that was computed elsewhere.
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The 32 bytes.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// The digest in base64, as `x-amz-checksum-sha256` and `Content-Digest` have it.
    ///
    /// # Examples
    /// ```
    /// # use forktex_storage::Sha256Digest;
    /// assert_eq!(
    ///     Sha256Digest::of("").base64(),
    ///     "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=",
    /// );
    /// ```
    pub fn base64(&self) -> String {
        STANDARD.encode(self.0)
    }
}

impl fmt::Display for Sha256Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&HEXLOWER.encode(&self.0))
    }
}

impl fmt::Debug for Sha256Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Sha256Digest({self})")
    }
}

impl FromStr for Sha256Digest {
    type Err = InvalidDigest;

    fn from_str(text: &str) -> Result<Self, InvalidDigest> {
        HEXLOWER_PERMISSIVE
            .decode(text.as_bytes())
            .ok()
            .and_then(|bytes| bytes.try_into().ok())
            .map(Self)
            .ok_or_else(|| InvalidDigest {
                characters: text.chars().count(),
            })
    }
}

impl Serialize for Sha256Digest {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Sha256Digest {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?
            .parse()
            .map_err(D::Error::custom)
    }
}

/// A text that is no SHA-256 digest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "cannot read a SHA-256 digest from {characters} characters: give the 64 hexadecimal digits of it"
)]
#[non_exhaustive]
pub struct InvalidDigest {
    /// How long the text was. The text itself is not kept: it may be anything.
    pub characters: usize,
}

/// A digest in the making.
#[derive(Clone, Default)]
pub(crate) struct Sha256Hasher(Sha256);

impl Sha256Hasher {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    /// Takes more bytes, on the calling thread.
    pub(crate) fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    /// Takes more bytes, and lets other tasks run between megabytes: a body that is a gigabyte in one
    /// piece must not hold up a runtime for half a second.
    pub(crate) async fn update_in_turns(&mut self, bytes: &Bytes) {
        let mut pieces = bytes.chunks(HASHED_AT_ONCE_BYTES).peekable();
        while let Some(piece) = pieces.next() {
            self.update(piece);
            if pieces.peek().is_some() {
                tokio::task::yield_now().await;
            }
        }
    }

    pub(crate) fn finish(self) -> Sha256Digest {
        Sha256Digest(self.0.finalize().into())
    }
}

impl fmt::Debug for Sha256Hasher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Sha256Hasher(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_give_the_digest_of_the_whole() {
        let mut hasher = Sha256Hasher::new();
        hasher.update(b"a");
        hasher.update(b"");
        hasher.update(b"bc");
        assert_eq!(hasher.finish(), Sha256Digest::of("abc"));
    }

    #[tokio::test]
    async fn turns_do_not_change_the_digest() {
        let bytes = Bytes::from(vec![7; 2 * HASHED_AT_ONCE_BYTES + 1]);
        let mut hasher = Sha256Hasher::new();
        hasher.update_in_turns(&bytes).await;
        assert_eq!(hasher.finish(), Sha256Digest::of(&bytes));
    }

    #[test]
    fn text_is_read_in_both_cases_and_refused_at_other_lengths() {
        let digest = Sha256Digest::of("abc");
        let text = digest.to_string();
        assert_eq!(text.to_uppercase().parse(), Ok(digest));
        for wrong in [
            "",
            "ba78",
            &text[1..],
            &format!("{text}00"),
            &"g".repeat(64),
        ] {
            assert!(wrong.parse::<Sha256Digest>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn json_holds_the_hexadecimal_text() {
        let digest = Sha256Digest::of("abc");
        let json = serde_json::to_string(&digest).unwrap();
        assert_eq!(json, format!("\"{digest}\""));
        assert_eq!(serde_json::from_str::<Sha256Digest>(&json).unwrap(), digest);
    }
}
