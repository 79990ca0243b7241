// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! The two ways to seal. Each submodule knows the bytes of one, and nothing of keyrings.

pub(crate) mod fernet;
pub(crate) mod v2;

/// How values are sealed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Scheme {
    /// XChaCha20-Poly1305 that names its key, commits to it, and is bound to its place. The default.
    #[default]
    V2,
    /// Fernet, byte for byte, for columns that Python services read and write too. It names no key
    /// and is bound to no place: a [`Context`](crate::Context) has no effect on it.
    Fernet,
}
