// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! What can go wrong between rows, and between fields that are computed from others.
//!
//! An error holds names and row ids, never the value of a cell.

use crate::error::Nearest;
use crate::relations::Restriction;

/// A link, a deletion or a computed field that cannot be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RelationError {
    /// A row that is not deleted itself restricts the deletion; nothing was changed.
    #[error("cannot delete from `{register}`: {first}{}", More(*count))]
    Restricted {
        /// The register of the rows that were to be deleted.
        register: String,
        /// What restricts it, the first found, with the way that leads there.
        first: Box<Restriction>,
        /// How many links restrict it in all.
        count: u64,
    },

    /// A row already has as many links as the relationship allows; nothing was changed.
    #[error(
        "cannot link by `{relationship}`: {} already linked to another row; unlink that one first",
        One(*is_target)
    )]
    Cardinality {
        /// The relationship, by its name at the source.
        relationship: String,
        /// Whether it is the target that is taken; otherwise the source is.
        is_target: bool,
    },

    /// A row was deleted while a link to it was being written. The same call will say which.
    #[error("cannot link by `{relationship}`: a row was deleted meanwhile; try again")]
    TargetGone {
        /// The relationship, by its name at the source.
        relationship: String,
    },

    /// More targets were given than one write may link.
    #[error(
        "cannot link `{relationship}` to {given} rows at once: {max} are allowed; link them in several calls"
    )]
    TooManyTargets {
        /// The relationship.
        relationship: String,
        /// How many were given.
        given: usize,
        /// How many may be.
        max: usize,
    },

    /// The register has no relationship of this name, on either side.
    #[error("register `{register}` has no relationship `{name}`{}", Nearest(nearest.as_deref()))]
    NotFound {
        /// The register.
        register: String,
        /// What was asked for.
        name: String,
        /// The one with the most similar name.
        nearest: Option<String>,
    },

    /// A relationship cannot be made as given.
    #[error("cannot make the relationship `{relationship}`: {reason}")]
    Definition {
        /// Its name.
        relationship: String,
        /// What is wrong with it, and what to do.
        reason: &'static str,
    },

    /// Computed fields depend on each other in a circle.
    #[error(
        "computed fields depend on each other in a circle: {}; take one of them out",
        path.join(" -> ")
    )]
    Cycle {
        /// The fields as `register.field`, the first again at the end.
        path: Vec<String>,
    },

    /// A computed field stands at the end of too long a chain of others.
    #[error(
        "`{field}` depends on a chain of more than {max} computed fields; compute it from earlier ones"
    )]
    TooDeep {
        /// The field, as `register.field`.
        field: String,
        /// The limit.
        max: usize,
    },

    /// A look-up or rollup goes through a relationship that its register does not have.
    #[error("`{field}` goes through `{through}`, which is no relationship of its register{}", Nearest(nearest.as_deref()))]
    UnknownThrough {
        /// The field, as `register.field`.
        field: String,
        /// What it names.
        through: String,
        /// The relationship with the most similar name.
        nearest: Option<String>,
    },

    /// A look-up goes through a relationship that leads to many rows.
    #[error(
        "`{field}` looks up through `{through}`, which leads to many rows; use a rollup, such as `max`"
    )]
    LookupOfMany {
        /// The field, as `register.field`.
        field: String,
        /// The relationship that it names.
        through: String,
    },

    /// A look-up or rollup reads a field that the register at the other end does not have.
    #[error("`{field}` reads `{read}`, which is no field{}", Nearest(nearest.as_deref()))]
    UnknownRead {
        /// The field, as `register.field`.
        field: String,
        /// What it names at the other end, as `register.field`.
        read: String,
        /// The field with the most similar name.
        nearest: Option<String>,
    },

    /// A look-up or rollup reads a field whose values it cannot take.
    #[error("`{field}` cannot read `{read}`: {reason}")]
    UnusableRead {
        /// The field, as `register.field`.
        field: String,
        /// The field that it names, as `register.field`.
        read: String,
        /// Why not, and what to do.
        reason: &'static str,
    },
}

/// Which row restricts, by what, and how it was reached.
impl std::fmt::Display for Restriction {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self {
            register,
            row,
            relationship,
            path,
        } = self;
        write!(
            f,
            "row {row} of `{register}` refers to it by `{relationship}`, which restricts"
        )?;
        if path.len() > 1 {
            f.write_str("; it is reached over ")?;
            for (index, step) in path.iter().enumerate() {
                let arrow = if index == 0 { "" } else { " -> " };
                write!(f, "{arrow}`{}` {}", step.register, step.row)?;
            }
        }
        f.write_str("; delete or unlink that row first")
    }
}

struct More(u64);

impl std::fmt::Display for More {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.0 {
            0 | 1 => Ok(()),
            count => write!(f, " (and {} more)", count - 1),
        }
    }
}

struct One(bool);

impl std::fmt::Display for One {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(if self.0 {
            "the target is"
        } else {
            "the row is"
        })
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;
    use crate::relations::PathStep;
    use crate::row::RowId;

    #[test]
    fn a_refused_deletion_names_the_way_to_what_restricts_it() {
        let step = |register: &str, number| PathStep {
            register: register.to_owned(),
            row: RowId::from(Uuid::from_u128(number)),
        };
        let first = Restriction {
            register: "payments".to_owned(),
            row: RowId::from(Uuid::from_u128(3)),
            relationship: "invoice".to_owned(),
            path: vec![step("clients", 1), step("invoices", 2)],
        };
        let error = RelationError::Restricted {
            register: "clients".to_owned(),
            first: Box::new(first),
            count: 3,
        };
        let text = error.to_string();
        assert!(text.starts_with("cannot delete from `clients`"), "{text}");
        assert!(text.contains("of `payments`"), "{text}");
        assert!(
            text.contains("`clients` 00000000-0000-0000-0000-000000000001 -> `invoices`"),
            "{text}"
        );
        assert!(text.ends_with("(and 2 more)"), "{text}");
    }
}
