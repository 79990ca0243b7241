// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! The token of a ticket: its terms as JSON, and an HMAC-SHA256 over them, both in URL-safe base64.
//!
//! Nothing of a token is read before its signature was compared, in constant time. A token is bound to one
//! bucket and one scope of the configuration, and to nothing that the client says.

use std::collections::BTreeMap;

use data_encoding::BASE64URL_NOPAD;
use hmac::Mac;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{QUARANTINE, TICKET_NAME};
use crate::sign::{finish, hmac_sha256};
use crate::{ContentType, Key, KeyError, Secret, Sha256Digest, StorageError};

/// The version of the terms.
pub(crate) const VERSION: u8 = 1;

/// What is signed before the terms, so that no other signature under the same key is one of a ticket.
const PURPOSE: &[u8] = b"forktex-storage ticket 1\n";

/// The longest token.
const TOKEN_BYTES_MAX: usize = 16 * 1024;

/// The terms of a ticket.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Claims {
    pub(crate) version: u8,
    /// The name in quarantine, and the mark of the object.
    pub(crate) id: Uuid,
    /// The bucket, by its name in the configuration.
    pub(crate) bucket: String,
    /// What the keys of the scope begin with.
    pub(crate) scope: String,
    /// The key, in the scope.
    pub(crate) key: Key,
    /// When the upload ends, in seconds of the Unix epoch.
    pub(crate) expires: i64,
    pub(crate) bytes_min: u64,
    pub(crate) bytes_max: u64,
    /// Patterns; none lets any type in.
    pub(crate) content_types: Vec<String>,
    pub(crate) sha256: Option<Sha256Digest>,
    pub(crate) download_as: Option<String>,
    pub(crate) inline: bool,
    pub(crate) replace: bool,
    pub(crate) cache_control: Option<String>,
    pub(crate) metadata: BTreeMap<String, String>,
}

/// Why a token says nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unreadable {
    /// It was not signed by this key, or it was changed since.
    Forged,
    /// It was signed by this key, in a version that is not known here.
    OtherVersion,
}

impl Claims {
    /// The token.
    pub(crate) fn sign(&self, key: &Secret) -> Result<String, StorageError> {
        let json = serde_json::to_vec(self).map_err(|error| {
            StorageError::option("ticket", format!("its terms cannot be written: {error}"))
        })?;
        let payload = BASE64URL_NOPAD.encode(&json);
        let signature = BASE64URL_NOPAD.encode(&finish(mac_of(key, &payload)));
        let token = format!("{payload}.{signature}");
        if token.len() > TOKEN_BYTES_MAX {
            return Err(StorageError::option(
                "ticket",
                "its terms make a token of more than 16 KiB; name fewer types, or less metadata",
            ));
        }
        Ok(token)
    }

    /// The terms of a token that was signed by this key.
    pub(crate) fn verify(token: &str, key: &Secret) -> Result<Self, Unreadable> {
        if token.len() > TOKEN_BYTES_MAX {
            return Err(Unreadable::Forged);
        }
        let (payload, signature) = token.split_once('.').ok_or(Unreadable::Forged)?;
        let signature = BASE64URL_NOPAD
            .decode(signature.as_bytes())
            .map_err(|_| Unreadable::Forged)?;
        mac_of(key, payload)
            .verify_slice(&signature)
            .map_err(|_| Unreadable::Forged)?;
        // From here on it is our own text; one that cannot be read is of another version.
        let json = BASE64URL_NOPAD
            .decode(payload.as_bytes())
            .map_err(|_| Unreadable::OtherVersion)?;
        let claims: Self = serde_json::from_slice(&json).map_err(|_| Unreadable::OtherVersion)?;
        if claims.version == VERSION {
            Ok(claims)
        } else {
            Err(Unreadable::OtherVersion)
        }
    }

    /// Where the upload arrives, in the scope.
    pub(crate) fn quarantine(&self) -> Result<Key, KeyError> {
        Key::new(format!("{QUARANTINE}/{}", self.id))
    }

    /// The mark that the object gets.
    pub(crate) fn mark(&self) -> String {
        self.id.to_string()
    }

    /// The metadata with the mark.
    pub(crate) fn all_metadata(&self) -> BTreeMap<String, String> {
        let mut all = self.metadata.clone();
        all.insert(TICKET_NAME.to_owned(), self.mark());
        all
    }

    /// The name that tells what bytes without a mark of their own are.
    pub(crate) fn name(&self) -> &str {
        self.download_as.as_deref().unwrap_or(self.key.name())
    }

    /// Whether a type is let in.
    pub(crate) fn allows(&self, found: &ContentType) -> bool {
        self.content_types.is_empty()
            || self
                .content_types
                .iter()
                .any(|pattern| found.matches(pattern))
    }
}

fn mac_of(key: &Secret, payload: &str) -> hmac::Hmac<sha2::Sha256> {
    let mut mac = hmac_sha256(key.expose().as_bytes());
    mac.update(PURPOSE);
    mac.update(payload.as_bytes());
    mac
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key() -> Secret {
        Secret::from("the key of the tests' tickets, 32 bytes or more")
    }

    fn claims() -> Claims {
        Claims {
            version: VERSION,
            id: Uuid::now_v7(),
            bucket: "default".to_owned(),
            scope: "org/acme/".to_owned(),
            key: Key::new("a ä.png").unwrap(),
            expires: 1_700_000_000,
            bytes_min: 1,
            bytes_max: 10,
            content_types: vec!["image/*".to_owned()],
            sha256: Some(Sha256Digest::of(b"a")),
            download_as: Some("b\"ä.png".to_owned()),
            inline: false,
            replace: true,
            cache_control: None,
            metadata: BTreeMap::from([("owner".to_owned(), "ada".to_owned())]),
        }
    }

    #[test]
    fn a_token_gives_back_its_terms() {
        let claims = claims();
        let token = claims.sign(&key()).unwrap();
        assert!(
            token
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte))
        );
        assert_eq!(Claims::verify(&token, &key()).unwrap(), claims);
    }

    #[test]
    fn a_token_that_was_changed_anywhere_is_forged() {
        let token = claims().sign(&key()).unwrap();
        for place in 0..token.len() {
            let mut changed = token.clone().into_bytes();
            changed[place] = if changed[place] == b'A' { b'B' } else { b'A' };
            let changed = String::from_utf8(changed).unwrap();
            assert_eq!(
                Claims::verify(&changed, &key()),
                Err(Unreadable::Forged),
                "{place}"
            );
            let cut = &token[..place];
            assert_eq!(
                Claims::verify(cut, &key()),
                Err(Unreadable::Forged),
                "{place}"
            );
        }
        let longer = format!("{token}A");
        assert_eq!(Claims::verify(&longer, &key()), Err(Unreadable::Forged));
        let endless = "A".repeat(TOKEN_BYTES_MAX + 1);
        assert_eq!(Claims::verify(&endless, &key()), Err(Unreadable::Forged));
    }

    #[test]
    fn a_token_of_another_key_is_forged() {
        let token = claims().sign(&Secret::from("another key")).unwrap();
        assert_eq!(Claims::verify(&token, &key()), Err(Unreadable::Forged));
    }

    #[test]
    fn a_signature_for_another_purpose_is_no_ticket() {
        let payload = BASE64URL_NOPAD.encode(&serde_json::to_vec(&claims()).unwrap());
        let mut mac = hmac_sha256(key().expose().as_bytes());
        mac.update(payload.as_bytes());
        let token = format!("{payload}.{}", BASE64URL_NOPAD.encode(&finish(mac)));
        assert_eq!(Claims::verify(&token, &key()), Err(Unreadable::Forged));
    }

    #[test]
    fn a_token_of_another_version_is_told_apart() {
        let later = Claims {
            version: VERSION + 1,
            ..claims()
        };
        let token = later.sign(&key()).unwrap();
        assert_eq!(
            Claims::verify(&token, &key()),
            Err(Unreadable::OtherVersion)
        );
    }

    #[test]
    fn a_token_is_bounded() {
        let long = Claims {
            content_types: vec!["x".repeat(1_000); 20],
            ..claims()
        };
        assert!(long.sign(&key()).is_err());
    }

    #[test]
    fn types_are_let_in_by_pattern() {
        let claims = claims();
        let of = |text| ContentType::new(text).unwrap();
        assert!(claims.allows(&of("image/png")) && !claims.allows(&of("text/html")));
        let open = Claims {
            content_types: Vec::new(),
            ..claims
        };
        assert!(open.allows(&of("text/html")));
    }
}
