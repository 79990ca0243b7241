// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! Fernet, as its specification has it: AES-128-CBC with PKCS #7 padding, signed by HMAC-SHA-256.
//!
//! | bytes | what |
//! |---|---|
//! | 0 | version, 0x80 |
//! | 1..9 | when it was sealed, seconds since 1970, big-endian |
//! | 9..25 | initialisation vector, random |
//! | 25..n-32 | ciphertext |
//! | n-32..n | HMAC of all before it |
//!
//! The first half of the key signs, the second encrypts. The published vectors are in the tests.

use aes::Aes128;
use cbc::cipher::block_padding::Pkcs7;
use cbc::cipher::{BlockModeDecrypt, BlockModeEncrypt, KeyIvInit};
use hmac::{Hmac, Mac};
use sha2::Sha256;
use zeroize::Zeroizing;

use crate::error::VaultError;
use crate::key::hmac;

pub(crate) const VERSION: u8 = 0x80;

const SEALED_AT: std::ops::Range<usize> = 1..9;
const HEADER_BYTES: usize = 9;
const VECTOR_BYTES: usize = 16;
const BLOCK_BYTES: usize = 16;
const SIGNATURE_BYTES: usize = 32;
/// An empty value is a block of padding.
const BYTES_MIN: usize = HEADER_BYTES + VECTOR_BYTES + BLOCK_BYTES + SIGNATURE_BYTES;

pub(crate) fn seal(
    key: &[u8; 32],
    vector: [u8; VECTOR_BYTES],
    sealed_at: u64,
    plaintext: &[u8],
) -> Vec<u8> {
    let mut token = Vec::with_capacity(BYTES_MIN + plaintext.len());
    token.push(VERSION);
    token.extend_from_slice(&sealed_at.to_be_bytes());
    token.extend_from_slice(&vector);
    let (_, encrypting) = halves(key);
    let encryptor = cbc::Encryptor::<Aes128>::new(encrypting.into(), (&vector).into());
    token.extend_from_slice(&encryptor.encrypt_padded_vec::<Pkcs7>(plaintext));
    let signature = signature(key, &token).finalize().into_bytes();
    token.extend_from_slice(&signature);
    token
}

/// Whether this key signed the token. Takes the same time wherever they differ.
pub(crate) fn is_signed_by(key: &[u8; 32], token: &[u8]) -> bool {
    let Some((signed, expected)) = token.split_last_chunk::<SIGNATURE_BYTES>() else {
        return false;
    };
    signature(key, signed).verify_slice(expected).is_ok()
}

/// Opens a token that this key signed.
pub(crate) fn open(key: &[u8; 32], token: &[u8]) -> Result<Zeroizing<Vec<u8>>, VaultError> {
    let cut = VaultError::malformed("it is cut");
    let (_, rest) = token.split_at_checked(HEADER_BYTES).ok_or(cut.clone())?;
    let (vector, rest) = rest
        .split_first_chunk::<VECTOR_BYTES>()
        .ok_or(cut.clone())?;
    let (ciphertext, _) = rest.split_last_chunk::<SIGNATURE_BYTES>().ok_or(cut)?;
    let (_, encrypting) = halves(key);
    let decryptor = cbc::Decryptor::<Aes128>::new(encrypting.into(), vector.into());
    decryptor
        .decrypt_padded_vec::<Pkcs7>(ciphertext)
        .map(Zeroizing::new)
        .map_err(|_| VaultError::malformed("it is signed, but its padding is wrong"))
}

pub(crate) fn check_form(token: &[u8]) -> Result<(), VaultError> {
    if token.len() < BYTES_MIN {
        return Err(VaultError::malformed("it is cut"));
    }
    if !(token.len() - BYTES_MIN).is_multiple_of(BLOCK_BYTES) {
        return Err(VaultError::malformed("its length is no number of blocks"));
    }
    Ok(())
}

pub(crate) fn sealed_at(token: &[u8]) -> Option<u64> {
    let seconds = token.get(SEALED_AT)?.try_into().ok()?;
    Some(u64::from_be_bytes(seconds))
}

fn signature(key: &[u8; 32], signed: &[u8]) -> Hmac<Sha256> {
    let (signing, _) = halves(key);
    hmac(signing).chain_update(signed)
}

/// The half that signs and the half that encrypts.
fn halves(key: &[u8; 32]) -> (&[u8; 16], &[u8; 16]) {
    let (halves, _) = key.as_chunks::<16>();
    (&halves[0], &halves[1])
}
