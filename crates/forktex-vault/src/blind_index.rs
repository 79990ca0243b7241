// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! Equality look-ups over sealed values: a keyed fingerprint that stands in a column beside them.
//!
//! It answers only whether two values are equal. It normalises nothing: lower-case an address before.

use std::fmt::Display;

use hmac::Mac;

use crate::context::Context;
use crate::key::{DerivedKey, hmac};
use crate::vault::Vault;

/// The length of a fingerprint. By chance two of a billion values share one with a probability below
/// one in 10^20.
const FINGERPRINT_BYTES: usize = 16;

/// Makes the fingerprints of one column. Made by [`Vault::blind_index`](crate::Vault::blind_index).
///
/// Store [`of`](Self::of) beside the sealed value, in an indexed `BYTEA` column, and look up by
/// [`candidates`](Self::candidates): the fingerprints under every key of the vault, so that rows are
/// found before, during and after a change of the key. While two keys are in use, a unique index
/// cannot see that two rows under different keys are equal: look up before inserting.
///
/// Whoever reads the column sees which rows hold equal values, and how often each occurs, within one
/// organisation if [`org`](Self::org) is given; without the key they cannot tell what a value is, nor
/// test a guess.
///
/// # Examples
/// ```
/// use forktex_vault::{Vault, VaultError};
///
/// let old = Vault::generate_key()?;
/// let stored = Vault::from_key(&old).blind_index("app.user", "email").org(7).of("a@example.com");
///
/// // SELECT id FROM app.user WHERE org_id = 7 AND email_index = ANY($1)
/// let vault = Vault::from_key(&Vault::generate_key()?).with_previous(&old);
/// let candidates = vault.blind_index("app.user", "email").org(7).candidates("a@example.com");
/// assert!(candidates.contains(&stored));
/// # Ok::<(), VaultError>(())
/// ```
#[derive(Clone, Debug)]
#[must_use]
pub struct BlindIndex {
    vault: Vault,
    context: Context,
}

impl BlindIndex {
    pub(crate) fn new(vault: Vault, context: Context) -> Self {
        Self { vault, context }
    }

    /// Makes the fingerprints of one organisation: equal values of two look different.
    pub fn org(mut self, id: impl Display) -> Self {
        self.context = self.context.org(id);
        self
    }

    /// The fingerprint to store: under the primary key.
    pub fn of(&self, value: impl AsRef<[u8]>) -> [u8; 16] {
        self.fingerprint(self.vault.primary(), value.as_ref())
    }

    /// The fingerprints to look up: one a key, the primary's first.
    pub fn candidates(&self, value: impl AsRef<[u8]>) -> Vec<[u8; 16]> {
        let keys = self.vault.keys();
        keys.map(|key| self.fingerprint(key, value.as_ref()))
            .collect()
    }

    /// HMAC-SHA-256 over the place, a zero (no part of a place begins so) and the value; its first half.
    fn fingerprint(&self, key: &DerivedKey, value: &[u8]) -> [u8; FINGERPRINT_BYTES] {
        let mut place = Vec::new();
        self.context.encode(&mut place);
        place.push(0);
        let whole: [u8; 32] = hmac(&key.blind_index)
            .chain_update(&place)
            .chain_update(value)
            .finalize()
            .into_bytes()
            .into();
        let (halves, _) = whole.as_chunks();
        halves[0]
    }
}
