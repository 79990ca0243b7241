// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! What a relationship between two registers is: which rows may be linked, how many, and what becomes of
//! a link when its target is deleted.
//!
//! A relationship has a name on either side: `client` on the invoices, `invoices` on the clients. It
//! holds no rows; the links are in `relations`. Nothing here reads or writes.

use serde::{Deserialize, Serialize};

use crate::field_name::is_system_name;
use crate::keys::{RegisterKey, RelationshipKey};
use crate::limits::NAME_CHARACTERS_MAX;
use crate::relation_error::RelationError;

/// How many rows may be linked, as seen from the source, the register that has the reference.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Cardinality {
    /// Each source has at most one target, and each target at most one source.
    OneToOne,
    /// Each source has at most one target, and a target any number of sources: the usual reference.
    ManyToOne,
    /// Each source has any number of targets, and the other way round.
    ManyToMany,
}

impl Cardinality {
    /// The word that stands for it in a schema and in the catalogue.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::OneToOne => "one_to_one",
            Self::ManyToOne => "many_to_one",
            Self::ManyToMany => "many_to_many",
        }
    }

    /// Whether a source has at most one target.
    pub(crate) fn has_one_target(self) -> bool {
        self != Self::ManyToMany
    }

    /// Whether a target has at most one source.
    pub(crate) fn has_one_source(self) -> bool {
        self == Self::OneToOne
    }
}

/// What becomes of the sources when their target is deleted for good. Archiving changes no link.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum OnDelete {
    /// The deletion is refused as long as a source is left.
    #[default]
    Restrict,
    /// The sources are deleted too, and what hangs on them.
    Cascade,
    /// The sources stay, and their link is taken out.
    SetNull,
}

impl OnDelete {
    /// The word that stands for it in a schema and in the catalogue.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Restrict => "restrict",
            Self::Cascade => "cascade",
            Self::SetNull => "set_null",
        }
    }

    /// The rule that the word stands for.
    pub(crate) fn parse(word: &str) -> Option<Self> {
        [Self::Restrict, Self::Cascade, Self::SetNull]
            .into_iter()
            .find(|rule| rule.as_str() == word)
    }
}

/// A relationship to be made, from the register that it is given to.
///
/// # Examples
/// ```
/// use forktex_data::{OnDelete, RelationshipDefinition};
///
/// let client = RelationshipDefinition::many_to_one("client", "clients")
///     .inverse("invoices")
///     .on_delete(OnDelete::Restrict);
/// assert_eq!(client.target, "clients");
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct RelationshipDefinition {
    /// Its name at the source, such as `client`.
    pub name: String,
    /// The register that it leads to. It may be the source itself.
    pub target: String,
    /// Its name at the target, such as `invoices`. Empty means `<source>_by_<name>`.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub inverse_name: String,
    /// How many rows may be linked.
    pub cardinality: Cardinality,
    /// What becomes of the sources when their target is deleted.
    #[serde(default)]
    pub on_delete: OnDelete,
}

impl RelationshipDefinition {
    /// Each source has at most one target: the usual reference.
    pub fn many_to_one(name: impl Into<String>, target: impl Into<String>) -> Self {
        Self::new(name.into(), target.into(), Cardinality::ManyToOne)
    }

    /// Each source has at most one target, and each target at most one source.
    pub fn one_to_one(name: impl Into<String>, target: impl Into<String>) -> Self {
        Self::new(name.into(), target.into(), Cardinality::OneToOne)
    }

    /// Each source has any number of targets. Its deletion rule is set null, unless said otherwise.
    pub fn many_to_many(name: impl Into<String>, target: impl Into<String>) -> Self {
        let definition = Self::new(name.into(), target.into(), Cardinality::ManyToMany);
        definition.on_delete(OnDelete::SetNull)
    }

    /// Names it at the target.
    pub fn inverse(mut self, name: impl Into<String>) -> Self {
        self.inverse_name = name.into();
        self
    }

    /// Says what becomes of the sources when their target is deleted. Default:
    /// [`OnDelete::Restrict`].
    pub fn on_delete(mut self, rule: OnDelete) -> Self {
        self.on_delete = rule;
        self
    }

    fn new(name: String, target: String, cardinality: Cardinality) -> Self {
        Self {
            name,
            target,
            inverse_name: String::new(),
            cardinality,
            on_delete: OnDelete::default(),
        }
    }

    /// The name at the target, for a relationship of the register `source`.
    pub(crate) fn inverse_name_for(&self, source: &str) -> String {
        if self.inverse_name.is_empty() {
            format!("{source}_by_{}", self.name)
        } else {
            self.inverse_name.clone()
        }
    }

    /// Checks all that can be told without the other register.
    pub(crate) fn check(&self, source: &str) -> Result<(), RelationError> {
        let refuse = |reason| RelationError::Definition {
            relationship: self.name.chars().take(100).collect(),
            reason,
        };
        let inverse = self.inverse_name_for(source);
        if is_system_name(&self.name) || is_system_name(&inverse) {
            return Err(refuse(
                "its names stand beside what every row has, so none can be called the same",
            ));
        }
        if !is_name(&self.name) {
            return Err(refuse(
                "its name must have 1 to 63 characters of a to z, 0 to 9 and `_`, and begin with a letter",
            ));
        }
        if !is_name(&inverse) {
            return Err(refuse(
                "its name at the target must have 1 to 63 characters of a to z, 0 to 9 and `_`, and begin \
                 with a letter; give it with `inverse`",
            ));
        }
        if self.target == source && inverse == self.name {
            return Err(refuse(
                "it leads to its own register, so its two names must differ",
            ));
        }
        if self.cardinality == Cardinality::ManyToMany && self.on_delete == OnDelete::Cascade {
            return Err(refuse(
                "a many-to-many relationship cannot cascade, as a source may have other targets; use \
                 `restrict` or `set_null`",
            ));
        }
        Ok(())
    }
}

fn is_name(name: &str) -> bool {
    name.len() <= NAME_CHARACTERS_MAX
        && name.starts_with(|first: char| first.is_ascii_lowercase())
        && name
            .chars()
            .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_')
}

/// A relationship as the catalogue has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Relationship {
    pub(crate) key: RelationshipKey,
    pub(crate) name: String,
    pub(crate) inverse_name: String,
    pub(crate) source: RegisterKey,
    pub(crate) source_name: String,
    pub(crate) target: RegisterKey,
    pub(crate) target_name: String,
    pub(crate) cardinality: Cardinality,
    pub(crate) on_delete: OnDelete,
}

/// Which way a relationship is followed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Direction {
    /// From the source to the target.
    Forward,
    /// From the target to the sources.
    Backward,
}

/// A relationship, seen from one of its ends.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Path<'a> {
    pub(crate) relationship: &'a Relationship,
    pub(crate) direction: Direction,
}

impl<'a> Path<'a> {
    /// The register at the other end.
    pub(crate) fn other(self) -> RegisterKey {
        match self.direction {
            Direction::Forward => self.relationship.target,
            Direction::Backward => self.relationship.source,
        }
    }

    /// The name of the register at the other end.
    pub(crate) fn other_name(self) -> &'a str {
        match self.direction {
            Direction::Forward => &self.relationship.target_name,
            Direction::Backward => &self.relationship.source_name,
        }
    }

    /// Whether it leads to at most one row.
    pub(crate) fn is_to_one(self) -> bool {
        match self.direction {
            Direction::Forward => self.relationship.cardinality.has_one_target(),
            Direction::Backward => self.relationship.cardinality.has_one_source(),
        }
    }
}

/// The relationship that is called `name` in the register, on whichever side the register is.
pub(crate) fn find<'a>(
    relationships: &'a [Relationship],
    register: RegisterKey,
    name: &str,
) -> Option<Path<'a>> {
    relationships.iter().find_map(|relationship| {
        let direction = if relationship.source == register && relationship.name == name {
            Direction::Forward
        } else if relationship.target == register && relationship.inverse_name == name {
            Direction::Backward
        } else {
            return None;
        };
        Some(Path {
            relationship,
            direction,
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parent() -> Relationship {
        Relationship {
            key: RelationshipKey(7),
            name: "parent".to_owned(),
            inverse_name: "children".to_owned(),
            source: RegisterKey(1),
            source_name: "categories".to_owned(),
            target: RegisterKey(1),
            target_name: "categories".to_owned(),
            cardinality: Cardinality::ManyToOne,
            on_delete: OnDelete::Restrict,
        }
    }

    #[test]
    fn a_relationship_is_found_by_its_name_at_either_end() {
        let relationships = [parent()];
        let up = find(&relationships, RegisterKey(1), "parent").unwrap();
        assert_eq!(up.direction, Direction::Forward);
        assert!(up.is_to_one());
        let down = find(&relationships, RegisterKey(1), "children").unwrap();
        assert_eq!(down.direction, Direction::Backward);
        assert!(!down.is_to_one());
        assert!(find(&relationships, RegisterKey(2), "parent").is_none());
    }

    #[test]
    fn each_word_stands_for_what_it_was_written_for() {
        for cardinality in [
            Cardinality::OneToOne,
            Cardinality::ManyToOne,
            Cardinality::ManyToMany,
        ] {
            let json = serde_json::to_value(cardinality).unwrap();
            assert_eq!(json, cardinality.as_str());
        }
        for rule in [OnDelete::Restrict, OnDelete::Cascade, OnDelete::SetNull] {
            assert_eq!(OnDelete::parse(rule.as_str()), Some(rule));
            assert_eq!(serde_json::to_value(rule).unwrap(), rule.as_str());
        }
        assert_eq!(OnDelete::parse("CASCADE"), None);
    }

    #[test]
    fn a_definition_that_cannot_hold_is_refused() {
        let good = RelationshipDefinition::many_to_one("client", "clients");
        assert!(good.check("invoices").is_ok());
        assert_eq!(good.inverse_name_for("invoices"), "invoices_by_client");
        let bad = [
            RelationshipDefinition::many_to_one("Client", "clients"),
            RelationshipDefinition::many_to_one("", "clients"),
            RelationshipDefinition::many_to_one("client", "clients").inverse("1x"),
            RelationshipDefinition::many_to_one("id", "clients"),
            RelationshipDefinition::many_to_one("client", "clients").inverse("version"),
            RelationshipDefinition::many_to_one("twin", "invoices").inverse("twin"),
            RelationshipDefinition::many_to_many("tags", "tags").on_delete(OnDelete::Cascade),
        ];
        for definition in bad {
            assert!(definition.check("invoices").is_err(), "{definition:?}");
        }
    }
}
