// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! Encryption at rest: secrets that cannot be misread, and keys that can be rotated.
//!
//! This crate is where a service will seal values for its own columns, bind each to its place, read
//! what Python services wrote with Fernet, and rotate the key of a live table with a rotation that
//! can be interrupted, resumed and proved complete.
//!
//! **Status: no public items yet.** The README's table says what works today.
