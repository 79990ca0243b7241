// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! Why a definition cannot be used, or cannot be changed so.

use std::borrow::Cow;

use crate::field::DefinitionError;
use crate::field_name::NameProblem;

/// A schema that cannot be had. Nothing was changed.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum SchemaError {
    /// A name is not well formed.
    #[error("cannot use `{name}` as a name: {problem}")]
    Name {
        /// The name, at most its first 100 characters.
        name: String,
        /// What is wrong with it.
        problem: NameProblem,
    },

    /// The definition of a field makes no sense by itself.
    #[error("cannot use the definition of register `{register}`")]
    Definition {
        /// The register.
        register: String,
        /// Which field, and what is wrong with it.
        source: Box<DefinitionError>,
    },

    /// Two things of one register have the same name, so that one would hide the other.
    #[error("register `{register}` has two things called `{name}`: rename one of them")]
    NameTaken {
        /// The register.
        register: String,
        /// The name.
        name: String,
    },

    /// A label or a description is too long.
    #[error("the {what} of register `{register}` has more than {max} characters")]
    TooLong {
        /// The register.
        register: String,
        /// `label` or `description`.
        what: &'static str,
        /// The bound.
        max: usize,
    },

    /// A label or a description cannot be stored.
    #[error("the {what} of register `{register}` has a NUL character")]
    NulCharacter {
        /// The register.
        register: String,
        /// `label` or `description`.
        what: &'static str,
    },

    /// A relationship leads to a register that the tenant does not have.
    #[error(
        "relationship `{relationship}` of register `{register}` leads to `{target}`, which is no stored \
         register"
    )]
    UnknownTarget {
        /// The register.
        register: String,
        /// The relationship.
        relationship: String,
        /// The register that is missing.
        target: String,
    },

    /// A field goes by something that is not there, or cannot be gone by.
    #[error("field `{field}` of register `{register}` cannot be had: {reason}")]
    BrokenReference {
        /// The register.
        register: String,
        /// The field.
        field: String,
        /// What is missing, and what to do.
        reason: Cow<'static, str>,
    },

    /// A field cannot have what is asked of it.
    #[error(
        "field `{field}` of register `{register}` is of type {field_type}, which cannot be {option}"
    )]
    NotForType {
        /// The register.
        register: String,
        /// The field.
        field: String,
        /// The type.
        field_type: &'static str,
        /// `indexed`, `unique` or `searchable`.
        option: &'static str,
    },

    /// The stored values would have to be converted.
    #[error(
        "the values of field `{field}` of register `{register}` would have to be converted ({what}): change \
         the type by a type change, which can be tried and undone"
    )]
    TypeChange {
        /// The register.
        register: String,
        /// The field.
        field: String,
        /// What differs, such as `text to integer`.
        what: String,
    },

    /// A relationship cannot be turned into another one.
    #[error(
        "relationship `{relationship}` of register `{register}` cannot change its {what}: drop it and make \
         it anew"
    )]
    RelationshipChange {
        /// The register.
        register: String,
        /// The relationship.
        relationship: String,
        /// `target` or `cardinality`.
        what: &'static str,
    },

    /// A field cannot be unique, as rows have the same value. It was left as it was, not unique.
    #[error(
        "field `{field}` of register `{register}` cannot be unique: {values} values stand in more than one \
         row"
    )]
    Duplicates {
        /// The register.
        register: String,
        /// The field.
        field: String,
        /// How many different values do.
        values: u64,
    },

    /// A field cannot be indexed or unique, as values are too long. It was left as it was.
    #[error(
        "field `{field}` of register `{register}` cannot be indexed or unique: {rows} rows have more than \
         {max} characters in it"
    )]
    ValuesTooLong {
        /// The register.
        register: String,
        /// The field.
        field: String,
        /// How many rows do.
        rows: u64,
        /// The bound.
        max: usize,
    },

    /// What the field had before is still being taken out.
    #[error(
        "field `{field}` of register `{register}` cannot change now: what it had before is still being \
         removed; call `run_maintenance`, then try again"
    )]
    StillRemoving {
        /// The register.
        register: String,
        /// The field.
        field: String,
    },

    /// The document is of a form that this version does not know.
    #[error("cannot use a schema document of form {found}: this version knows form {known}")]
    UnknownForm {
        /// The form of the document.
        found: u32,
        /// The form that is known.
        known: u32,
    },
}

impl SchemaError {
    /// A [`Name`](Self::Name) that is not longer than an error may be.
    pub(crate) fn name(name: &str, problem: NameProblem) -> Self {
        Self::Name {
            name: name.chars().take(100).collect(),
            problem,
        }
    }
}
