// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! Format v2: XChaCha20-Poly1305 with a key id, a key commitment, and the place as associated data.
//!
//! | bytes | what |
//! |---|---|
//! | 0 | version, 2 |
//! | 1..9 | key id |
//! | 9..41 | key commitment |
//! | 41..49 | when it was sealed, seconds since 1970, big-endian |
//! | 49..73 | nonce, random |
//! | 73..n-16 | ciphertext |
//! | n-16..n | tag |
//!
//! The associated data is bytes 0..49 followed by the encoded place. The cipher by itself commits to
//! no key: for two keys of one's choice, a ciphertext can be made that opens under both. So the
//! commitment, 32 bytes that HKDF derives beside the encryption key, is compared before anything is
//! opened; two keys with one commitment would be a collision of SHA-256.

use chacha20poly1305::aead::{AeadInOut, KeyInit};
use chacha20poly1305::{Tag, XChaCha20Poly1305, XNonce};
use zeroize::Zeroizing;

use crate::context::Context;
use crate::error::VaultError;
use crate::key::{DerivedKey, KeyId};

pub(crate) const VERSION: u8 = 2;

const KEY_ID: std::ops::Range<usize> = 1..9;
const COMMITMENT: std::ops::Range<usize> = 9..41;
const SEALED_AT: std::ops::Range<usize> = 41..49;
const HEADER_BYTES: usize = 49;
const NONCE_BYTES: usize = 24;
const TAG_BYTES: usize = 16;
const OVERHEAD_BYTES: usize = HEADER_BYTES + NONCE_BYTES + TAG_BYTES;

/// Seals `plaintext` with a nonce that was never used before under this key.
pub(crate) fn seal(
    key: &DerivedKey,
    context: &Context,
    nonce: [u8; NONCE_BYTES],
    sealed_at: u64,
    plaintext: &[u8],
) -> Vec<u8> {
    let mut token = Vec::with_capacity(OVERHEAD_BYTES + plaintext.len());
    token.push(VERSION);
    token.extend_from_slice(key.id.as_bytes());
    token.extend_from_slice(&key.commitment);
    token.extend_from_slice(&sealed_at.to_be_bytes());
    let associated_data = associated_data(&token, context);
    token.extend_from_slice(&nonce);
    token.extend_from_slice(plaintext);

    let tag = cipher(key).encrypt_inout_detached(
        &XNonce::from(nonce),
        &associated_data,
        (&mut token[HEADER_BYTES + NONCE_BYTES..]).into(),
    );
    // The cipher refuses 256 GiB; a value is at most 16 MiB. Plaintext must not leave here.
    let Ok(tag) = tag else {
        unreachable!("a value is far below the cipher's limit")
    };
    token.extend_from_slice(&tag);
    token
}

/// Opens a token whose form was checked and whose commitment is this key's.
pub(crate) fn open(
    key: &DerivedKey,
    context: &Context,
    token: &[u8],
) -> Result<Zeroizing<Vec<u8>>, VaultError> {
    let cut = VaultError::malformed("it is cut");
    let (header, rest) = token.split_at_checked(HEADER_BYTES).ok_or(cut.clone())?;
    let (nonce, rest) = rest.split_first_chunk::<NONCE_BYTES>().ok_or(cut.clone())?;
    let (ciphertext, tag) = rest.split_last_chunk::<TAG_BYTES>().ok_or(cut)?;

    let mut plaintext = Zeroizing::new(ciphertext.to_vec());
    cipher(key)
        .decrypt_inout_detached(
            &XNonce::from(*nonce),
            &associated_data(header, context),
            plaintext.as_mut_slice().into(),
            &Tag::from(*tag),
        )
        .map_err(|_| VaultError::TamperedOrMoved)?;
    Ok(plaintext)
}

pub(crate) fn check_form(token: &[u8]) -> Result<(), VaultError> {
    if token.len() < OVERHEAD_BYTES {
        return Err(VaultError::malformed("it is cut"));
    }
    Ok(())
}

pub(crate) fn key_id(token: &[u8]) -> Option<KeyId> {
    let id = token.get(KEY_ID)?.try_into().ok()?;
    Some(KeyId::from_bytes(id))
}

pub(crate) fn commitment(token: &[u8]) -> Option<&[u8]> {
    token.get(COMMITMENT)
}

pub(crate) fn sealed_at(token: &[u8]) -> Option<u64> {
    let seconds = token.get(SEALED_AT)?.try_into().ok()?;
    Some(u64::from_be_bytes(seconds))
}

fn cipher(key: &DerivedKey) -> XChaCha20Poly1305 {
    XChaCha20Poly1305::new((&*key.encryption).into())
}

fn associated_data(header: &[u8], context: &Context) -> Vec<u8> {
    let mut bytes = header.to_vec();
    context.encode(&mut bytes);
    bytes
}
