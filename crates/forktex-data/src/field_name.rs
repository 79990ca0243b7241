// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! Names of registers, fields and relationships.
//!
//! They are plain enough for URLs, JSON members and formulas as they stand. They are never put into SQL.

use crate::limits::NAME_CHARACTERS_MAX;

/// What every row has besides its fields. No field can be called so.
pub(crate) const SYSTEM_NAMES: [&str; 6] = [
    "id",
    "created_at",
    "updated_at",
    "archived_at",
    "version",
    "external_ref",
];

/// What is wrong with a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NameProblem {
    /// There is no name.
    #[error("a name has at least one character")]
    Empty,
    /// It is too long.
    #[error("a name has at most 63 characters")]
    TooLong,
    /// It begins with something else than a letter.
    #[error("a name begins with a to z")]
    FirstCharacter,
    /// It has a character that names do not have.
    #[error("a name has a to z, 0 to 9 and `_` only")]
    Character,
    /// Every row has something of this name already.
    #[error("the name stands for what every row has; choose another one")]
    System,
}

/// Checks the name of a field, a register or a relationship.
pub(crate) fn check_name(name: &str) -> Result<(), NameProblem> {
    if name.len() > NAME_CHARACTERS_MAX {
        return Err(NameProblem::TooLong);
    }
    match name.bytes().next() {
        None => return Err(NameProblem::Empty),
        Some(b'a'..=b'z') => {}
        Some(_) => return Err(NameProblem::FirstCharacter),
    }
    if !name
        .bytes()
        .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_')
    {
        return Err(NameProblem::Character);
    }
    if is_system_name(name) {
        return Err(NameProblem::System);
    }
    Ok(())
}

/// Whether every row has something of this name.
pub(crate) fn is_system_name(name: &str) -> bool {
    SYSTEM_NAMES.contains(&name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn good_names_pass() {
        let long = "a".repeat(63);
        for name in ["a", "net_total", "x9", "select", "a__b_", long.as_str()] {
            assert_eq!(check_name(name), Ok(()), "{name}");
        }
    }

    #[test]
    fn each_fault_of_a_name_is_told() {
        let long = "a".repeat(64);
        for (name, problem) in [
            ("", NameProblem::Empty),
            (long.as_str(), NameProblem::TooLong),
            ("1a", NameProblem::FirstCharacter),
            ("_a", NameProblem::FirstCharacter),
            ("Name", NameProblem::FirstCharacter),
            ("é", NameProblem::FirstCharacter),
            ("naïve", NameProblem::Character),
            ("a b", NameProblem::Character),
            ("a\0", NameProblem::Character),
            ("a\"; drop table row; --", NameProblem::Character),
        ] {
            assert_eq!(check_name(name), Err(problem), "{name:?}");
        }
        for name in SYSTEM_NAMES {
            assert_eq!(check_name(name), Err(NameProblem::System), "{name}");
        }
    }
}
