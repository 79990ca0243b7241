// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! The place that a value belongs to. It is not stored in the token; who opens must name it again.

use std::fmt::Display;

/// Where a value stands: table, column, row, organisation. A token that was sealed for one place
/// opens in no other, so whoever can write to the table cannot move one tenant's secret to another's
/// row and have it opened there.
///
/// A row is named by the text of its id (what `Display` gives), so that a `Uuid`, a number or a string
/// do. The order of the calls makes no difference; each part that is given is bound, and so is that
/// the others were not.
///
/// # Examples
/// ```
/// use forktex_vault::{Context, Key, Vault, VaultError};
///
/// let vault = Vault::from_key(&Key::generate()?);
/// let place = Context::new("app.credential", "payload").org("org-7").row(42);
/// let token = vault.bound(place).encrypt("s3cret")?;
///
/// let elsewhere = Context::new("app.credential", "payload").org("org-8").row(42);
/// let moved = vault.bound(elsewhere).decrypt::<String>(&token);
/// assert_eq!(moved, Err(VaultError::TamperedOrMoved));
/// # Ok::<(), VaultError>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
#[must_use]
pub struct Context {
    table: Option<String>,
    column: Option<String>,
    row: Option<String>,
    org: Option<String>,
}

impl Context {
    /// A column of a table.
    pub fn new(table: impl Into<String>, column: impl Into<String>) -> Self {
        Self {
            table: Some(table.into()),
            column: Some(column.into()),
            row: None,
            org: None,
        }
    }

    /// No place: the token opens anywhere.
    pub fn none() -> Self {
        Self::default()
    }

    /// The row, by the text of its id.
    pub fn row(mut self, id: impl Display) -> Self {
        self.row = Some(id.to_string());
        self
    }

    /// The organisation that the row belongs to.
    pub fn org(mut self, id: impl Display) -> Self {
        self.org = Some(id.to_string());
        self
    }

    /// Appends the parts: for each that is given its tag, its length in 4 bytes, its text. No two
    /// contexts give the same bytes.
    pub(crate) fn encode(&self, into: &mut Vec<u8>) {
        let parts = [
            (1, &self.table),
            (2, &self.column),
            (3, &self.row),
            (4, &self.org),
        ];
        for (tag, part) in parts {
            if let Some(text) = part {
                let length = u32::try_from(text.len()).unwrap_or(u32::MAX);
                into.push(tag);
                into.extend_from_slice(&length.to_be_bytes());
                into.extend_from_slice(text.as_bytes());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn encoded(context: &Context) -> Vec<u8> {
        let mut bytes = Vec::new();
        context.encode(&mut bytes);
        bytes
    }

    #[test]
    fn no_two_places_are_encoded_alike() {
        let places = [
            Context::none(),
            Context::new("", ""),
            Context::new("a", "b"),
            Context::new("ab", ""),
            Context::new("", "ab"),
            Context::new("a", "b").row(""),
            Context::new("a", "b").org(""),
            Context::new("a", "b").row("7"),
            Context::new("a", "b").org("7"),
            Context::new("a", "b\u{3}\0\0\0\u{1}7"),
        ];
        for (n, one) in places.iter().enumerate() {
            for other in &places[n + 1..] {
                assert_ne!(encoded(one), encoded(other), "{one:?} and {other:?}");
            }
        }
    }
}
