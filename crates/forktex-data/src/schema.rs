// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! The schema of a tenant as data: read it, compare it, and bring what is there to what is wanted.
//!
//! A document names registers, fields and relationships, and no keys: it says what shall be, not how it
//! came to be. So it cannot rename; that is done where the old name is known. It never changes the type of
//! a field either, which is a migration of its own.

mod apply;
mod describe;
mod difference;
mod document;
mod error;
mod version;

pub use apply::{Apply, ApplyReport};
pub(crate) use describe::{changes_to, document as to_document};
pub use difference::Change;
pub(crate) use difference::conversion;
pub(crate) use document::limit;
pub use document::{RegisterDefinition, SchemaDocument};
pub use error::SchemaError;
pub use version::RegisterVersion;

/// Whether values may be lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Destructive {
    /// They may: the caller knows what is dropped.
    Allowed,
    /// They may not: the call is refused.
    Refused,
}
