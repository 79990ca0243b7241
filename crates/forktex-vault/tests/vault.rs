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
#[path = "vault/key_providers.rs"]
mod key_providers;
#[path = "vault/leaks.rs"]
mod leaks;
#[path = "vault/python.rs"]
mod python;
#[path = "vault/tampering.rs"]
mod tampering;
