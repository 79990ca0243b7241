// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! The stored form of a value that carries more than its JSON.
//!
//! A plain value is bare JSON, which any language reads. One with tags, or with times of a cached
//! function, is the byte `0x01`, a line of JSON (the [`Header`]), a line feed, and the value's JSON.
//! JSON never begins with `0x01`, so a reader takes both.
//!
//! No clock of a client is in it: what time is left is what the server says is left of the key.

use std::time::Duration;

use fred::bytes::Bytes;
use serde::{Deserialize, Serialize};

/// Begins a value with a header.
const MARK: u8 = 0x01;

/// What stands before the JSON of a value.
///
/// The key lives for `fresh + stale + stale_if_error`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Header {
    /// How long the value is fresh, in milliseconds.
    #[serde(rename = "f", default, skip_serializing_if = "is_zero")]
    pub(crate) fresh_ms: u64,
    /// How long after that it may be served while it is loaded anew, in milliseconds.
    #[serde(rename = "s", default, skip_serializing_if = "is_zero")]
    pub(crate) stale_ms: u64,
    /// How long after that it may be served when loading fails, in milliseconds.
    #[serde(rename = "e", default, skip_serializing_if = "is_zero")]
    pub(crate) stale_if_error_ms: u64,
    /// How long it took to load, in microseconds.
    #[serde(rename = "d", default, skip_serializing_if = "is_zero")]
    pub(crate) load_us: u64,
    /// Its tags, each with the generation that it was stored under.
    #[serde(rename = "g", default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) generations: Vec<(String, String)>,
}

#[allow(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde hands over a reference"
)]
fn is_zero(number: &u64) -> bool {
    *number == 0
}

impl Header {
    /// How much longer the key lives than the value is fresh.
    pub(crate) fn extents(&self) -> Duration {
        Duration::from_millis(self.stale_ms.saturating_add(self.stale_if_error_ms))
    }

    /// What is left of the value being fresh, of what is left of its key. Zero where it is stale.
    pub(crate) fn fresh_left(&self, key_left: Duration) -> Duration {
        key_left.saturating_sub(self.extents())
    }
}

/// A stored value, taken apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Envelope {
    /// Absent where the value is bare JSON.
    pub(crate) header: Option<Header>,
    /// The value's JSON.
    pub(crate) payload: Bytes,
}

impl Envelope {
    /// Takes a stored value apart, without copying it. `None` where it begins as one with a header and
    /// has none that can be read.
    pub(crate) fn open(stored: Bytes) -> Option<Self> {
        let Some((&MARK, rest)) = stored.split_first() else {
            return Some(Self {
                header: None,
                payload: stored,
            });
        };
        let line = rest.iter().position(|byte| *byte == b'\n')?;
        let header = serde_json::from_slice(rest.get(..line)?).ok()?;
        Some(Self {
            header: Some(header),
            // The mark and the line feed are one byte each.
            payload: stored.slice(line + 2..),
        })
    }

    /// Whether it says a value, and not that a cached function found none.
    pub(crate) fn has_value(&self) -> bool {
        self.header.is_none() || !self.payload.is_empty()
    }

    /// The tags' generations; none for bare JSON.
    pub(crate) fn generations(&self) -> &[(String, String)] {
        self.header
            .as_ref()
            .map_or(&[], |header| header.generations.as_slice())
    }
}

/// Puts a header before a value's JSON.
pub(crate) fn seal(header: &Header, payload: &[u8]) -> Bytes {
    let mut sealed = vec![MARK];
    // Numbers and texts alone, so it can be written.
    sealed.extend(serde_json::to_vec(header).unwrap_or_else(|_| b"{}".to_vec()));
    sealed.push(b'\n');
    sealed.extend_from_slice(payload);
    Bytes::from(sealed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_sealed_opens_as_it_was() {
        let header = Header {
            fresh_ms: 300_000,
            stale_ms: 60_000,
            stale_if_error_ms: 0,
            load_us: 1_500,
            generations: vec![("org:1".to_owned(), "a\nb\"".to_owned())],
        };
        let sealed = seal(&header, b"{\"a\":\n1}");
        let envelope = Envelope::open(sealed).unwrap();
        assert_eq!(envelope.header.as_ref(), Some(&header));
        assert_eq!(envelope.generations(), header.generations);
        assert_eq!(&envelope.payload[..], b"{\"a\":\n1}");
    }

    #[test]
    fn bare_json_is_its_own_payload() {
        for text in ["null", "1", "{\"a\":1}", ""] {
            let envelope = Envelope::open(Bytes::from_static(text.as_bytes())).unwrap();
            assert_eq!(
                (envelope.header, &envelope.payload[..]),
                (None, text.as_bytes())
            );
        }
    }

    #[test]
    fn a_header_that_cannot_be_read_is_told() {
        for text in ["\u{1}", "\u{1}{}", "\u{1}nonsense\n1", "\u{1}7\n1"] {
            assert_eq!(
                Envelope::open(Bytes::from_static(text.as_bytes())),
                None,
                "{text:?}"
            );
        }
    }

    #[test]
    fn what_is_left_counts_from_the_end_of_the_key() {
        let header = Header {
            fresh_ms: 10_000,
            stale_ms: 5_000,
            stale_if_error_ms: 60_000,
            ..Header::default()
        };
        let left = |seconds| header.fresh_left(Duration::from_secs(seconds)).as_secs();
        assert_eq!([left(75), left(66), left(65), left(30)], [10, 1, 0, 0]);
    }
}
