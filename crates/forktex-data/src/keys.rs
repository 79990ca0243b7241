// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! The numbers that the catalogue gives to registers, fields and relationships. They are never reused,
//! so that a rename touches no row. Queries of stored registers bind them, so that all registers share the
//! text of a statement. Elsewhere, as numbers of ours, they may stand in SQL text; names never do.

use std::fmt;

macro_rules! keys {
    ($($(#[$doc:meta])* $name:ident),* $(,)?) => {
        $(
            $(#[$doc])*
            #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
            pub(crate) struct $name(pub(crate) i64);

            impl fmt::Display for $name {
                fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                    self.0.fmt(f)
                }
            }
        )*
    };
}

keys!(
    /// The number of a register. Zero is that of a register without a row in the catalogue: a virtual
    /// one, or a bound one that nobody has extended.
    RegisterKey,
    /// The number of a field. The fields of virtual registers and the columns of bound ones have
    /// negative numbers, by their order from -1 down, as the catalogue does not know them.
    FieldKey,
    /// The number of a relationship.
    RelationshipKey,
);

impl RegisterKey {
    /// That of a register which the catalogue does not know.
    pub(crate) const NONE: Self = Self(0);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_shown_as_its_number_alone() {
        assert_eq!(FieldKey(1042).to_string(), "1042");
        assert_eq!(RegisterKey(-1).to_string(), "-1");
        assert_eq!(RelationshipKey(i64::MAX).to_string(), i64::MAX.to_string());
    }
}
