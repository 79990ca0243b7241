// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! What forktex-vault promises, through its public items. One binary, since linking takes the time.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

#[path = "vault/blind_index.rs"]
mod blind_index;
#[cfg(feature = "db")]
#[path = "vault/column_cipher.rs"]
mod column_cipher;
#[cfg(feature = "db")]
#[path = "vault/columns.rs"]
mod columns;
#[cfg(feature = "db")]
#[path = "vault/fixture.rs"]
mod fixture;
#[path = "vault/key_providers.rs"]
mod key_providers;
#[path = "vault/leaks.rs"]
mod leaks;
#[cfg(feature = "db")]
#[path = "vault/org_keys.rs"]
mod org_keys;
#[cfg(feature = "db")]
#[path = "vault/plaintext.rs"]
mod plaintext;
#[path = "vault/python.rs"]
mod python;
#[cfg(feature = "db")]
#[path = "vault/rotation.rs"]
mod rotation;
#[cfg(feature = "db")]
#[path = "vault/rotation_crash.rs"]
mod rotation_crash;
#[cfg(feature = "db")]
#[path = "vault/rotation_writers.rs"]
mod rotation_writers;
#[cfg(feature = "db")]
#[path = "vault/seals.rs"]
mod seals;
#[path = "vault/tampering.rs"]
mod tampering;
