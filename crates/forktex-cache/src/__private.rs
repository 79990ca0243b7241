// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! All that an expansion of `#[cached]` may name. Not for people: no promise is made about it.

pub use crate::cache::Cache;
pub use crate::cached::{
    Behind, FallibleKind, FallibleOptionalKind, InLine, OptionalKind, PlainKind, Policy, Probe,
    SingleFlight, call, keep, may_be_absent, may_fail, refusal,
};
pub use crate::error::{CacheError, KeyError};
pub use crate::key::Key;
pub use crate::namespace::Namespace;

/// The cache, behind whatever references and pointers.
pub fn cache_of(cache: &Cache) -> &Cache {
    cache
}
