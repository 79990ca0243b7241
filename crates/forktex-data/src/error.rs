// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! What can go wrong with registers and rows.
//!
//! An error holds names, ids and codes, never the value of a cell: neither in `Display` nor in `Debug`.

mod nearest;

use std::borrow::Cow;

use forktex_db::{DbError, Retryable, sqlx};

use crate::bound::BoundError;
use crate::formula::FormulaError;
use crate::import::ImportError;
use crate::query::QueryError;
use crate::relation_error::RelationError;
use crate::row::RowId;
use crate::schema::SchemaError;
use crate::type_change::TypeChangeError;
use crate::validate::RowProblems;
use crate::virtual_register::VirtualError;

pub(crate) use nearest::nearest;

/// A failed operation on registers or rows.
///
/// [`kind`](Self::kind) sorts the variants by what a caller can do about them.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DataError {
    /// The tenant has no register of this name.
    #[error("no register is called `{name}`{}", Nearest(nearest.as_deref()))]
    RegisterNotFound {
        /// The name that was asked for.
        name: String,
        /// A similar name, where there is one.
        nearest: Option<String>,
    },

    /// The register has no row of this id. A row of another register or tenant is not found either.
    #[error("register `{register}` has no row {id}")]
    RowNotFound {
        /// The register.
        register: String,
        /// The id that was asked for.
        id: RowId,
    },

    /// The register has no field of this name.
    #[error("register `{register}` has no field `{field}`{}", Nearest(nearest.as_deref()))]
    FieldNotFound {
        /// The register.
        register: String,
        /// The name that was asked for.
        field: String,
        /// A similar name, where there is one.
        nearest: Option<String>,
    },

    /// The register has no relationship of this name.
    #[error(
        "register `{register}` has no relationship `{relationship}`{}",
        Nearest(nearest.as_deref())
    )]
    RelationshipNotFound {
        /// The register.
        register: String,
        /// The name that was asked for.
        relationship: String,
        /// A similar name, where there is one.
        nearest: Option<String>,
    },

    /// Something of this name is there already.
    #[error("{what} `{name}` already exists; choose another name")]
    AlreadyExists {
        /// What it is: `register`, `field`, `relationship` or `row`.
        what: &'static str,
        /// Its name.
        name: String,
    },

    /// A unique field would hold the same value twice.
    #[error(
        "cannot write to register `{register}`: another row has the same `{field}`, which is unique"
    )]
    Duplicate {
        /// The register.
        register: String,
        /// The field; `external_ref` for the reference of another system.
        field: String,
    },

    /// The row was changed since the caller read it.
    #[error(
        "cannot change row {id} of register `{register}`: version {expected} was expected, and it is at          {found}; read it again"
    )]
    VersionConflict {
        /// The register.
        register: String,
        /// The row.
        id: RowId,
        /// The version that the caller knows.
        expected: i64,
        /// The version that the row has.
        found: i64,
    },

    /// A row does not fit its register.
    #[error("cannot write to register `{register}`: {problems}")]
    Row {
        /// The register.
        register: String,
        /// All that is wrong with it.
        problems: RowProblems,
    },

    /// One of several rows does not fit; none was written.
    #[error("cannot write row {index} of the batch")]
    Draft {
        /// Which row, counted from 0.
        index: usize,
        /// What is wrong with it.
        #[source]
        cause: Box<DataError>,
    },

    /// An argument is out of its range.
    #[error("cannot use `{argument}` as given: {reason}")]
    Invalid {
        /// The argument or option.
        argument: &'static str,
        /// What is wrong with it, and what to do.
        reason: Cow<'static, str>,
    },

    /// A query is not understood.
    #[error(transparent)]
    Query(#[from] QueryError),

    /// A definition cannot be used.
    #[error(transparent)]
    Schema(#[from] SchemaError),

    /// A formula cannot be used.
    #[error(transparent)]
    Formula(#[from] FormulaError),

    /// The type of a field cannot be changed so.
    #[error(transparent)]
    TypeChange(#[from] TypeChangeError),

    /// A relationship forbids it.
    #[error(transparent)]
    Relation(#[from] RelationError),

    /// What is imported cannot be read.
    #[error(transparent)]
    Import(#[from] ImportError),

    /// The register comes from a source that cannot do this.
    #[error("cannot {what} in register `{register}`: a {source_kind} register does not support it")]
    Unsupported {
        /// The register.
        register: String,
        /// What was attempted, such as `create rows`.
        what: Cow<'static, str>,
        /// The kind of source: `stored`, `bound` or `virtual`.
        source_kind: &'static str,
    },

    /// Values would be lost, and that was not allowed.
    #[error(
        "cannot {what}: values would be lost; allow it with `Destructive::Allowed` or `allow_destructive`"
    )]
    Destructive {
        /// What was attempted, with the name.
        what: String,
    },

    /// A bound was met.
    #[error("too many {what}: at most {max} are allowed")]
    LimitReached {
        /// What there is too much of.
        what: &'static str,
        /// The bound.
        max: usize,
    },

    /// A query was to go by indexes alone, and a field has none that is complete.
    #[error("the query needs an index on `{field}`: call `set_indexed`, or drop `require_index`")]
    Unindexed {
        /// The field.
        field: String,
    },

    /// The database refused, or is away.
    #[error(transparent)]
    Db(#[from] DbError),

    /// The code behind a virtual register failed.
    #[error("the virtual register `{register}` failed")]
    Virtual {
        /// The register.
        register: String,
        /// What it said.
        source: VirtualError,
    },

    /// The table below a bound register is not as the register says.
    #[error("the bound register `{register}` cannot be used")]
    Bound {
        /// The register.
        register: String,
        /// What does not fit.
        source: BoundError,
    },

    /// What is stored does not fit together: a fault of this crate, or of something that wrote to its
    /// tables.
    #[error(
        "the stored {what} {key} cannot be understood; it was changed by other means, or by a newer version"
    )]
    Corrupt {
        /// What it is: `field`, `row`, `relationship`...
        what: &'static str,
        /// Its key or id.
        key: String,
    },
}

/// What a caller can do about a [`DataError`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum DataErrorKind {
    /// There is no such register, field or row.
    NotFound,
    /// The input must be repaired.
    Invalid,
    /// It collides with what is there: a duplicate, another version, a relationship.
    Conflict,
    /// The source or the options do not allow it.
    Refused,
    /// Less must be asked for.
    LimitReached,
    /// It may succeed later.
    Unavailable,
    /// The operator must look.
    Internal,
}

impl DataError {
    /// What a caller can do about it.
    pub fn kind(&self) -> DataErrorKind {
        use DataErrorKind as Kind;
        match self {
            Self::RegisterNotFound { .. }
            | Self::RowNotFound { .. }
            | Self::FieldNotFound { .. }
            | Self::RelationshipNotFound { .. } => Kind::NotFound,
            Self::Row { .. }
            | Self::Invalid { .. }
            | Self::Query(_)
            | Self::Schema(_)
            | Self::Formula(_) => Kind::Invalid,
            Self::Draft { cause, .. } => cause.kind(),
            Self::Import(error) => kind_of_import(error),
            Self::TypeChange(error) => kind_of_type_change(error),
            Self::AlreadyExists { .. } | Self::Duplicate { .. } | Self::VersionConflict { .. } => {
                Kind::Conflict
            }
            Self::Relation(error) => kind_of_relation(error),
            Self::Unsupported { .. } | Self::Destructive { .. } | Self::Unindexed { .. } => {
                Kind::Refused
            }
            Self::LimitReached { .. } => Kind::LimitReached,
            Self::Virtual { source, .. } => kind_of_virtual(source),
            Self::Bound { source, .. } if source.is_retryable() => Kind::Unavailable,
            Self::Bound { .. } | Self::Corrupt { .. } => Kind::Internal,
            Self::Db(error) => kind_of_db(error),
        }
    }

    /// Whether a register, a field or a row was not found.
    pub fn is_not_found(&self) -> bool {
        self.kind() == DataErrorKind::NotFound
    }

    /// Whether the transaction lost a race, kept nothing, and may well succeed when run again.
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Db(error) => error.is_retryable(),
            Self::Draft { cause, .. } => cause.is_retryable(),
            Self::Import(ImportError::Refused { source, .. }) => source.is_retryable(),
            _ => false,
        }
    }

    /// An [`Invalid`](Self::Invalid).
    pub(crate) fn invalid(argument: &'static str, reason: impl Into<Cow<'static, str>>) -> Self {
        Self::Invalid {
            argument,
            reason: reason.into(),
        }
    }

    /// A [`Corrupt`](Self::Corrupt).
    #[allow(
        clippy::needless_pass_by_value,
        reason = "keys and ids are small, and reads better without a borrow"
    )]
    pub(crate) fn corrupt(what: &'static str, key: impl ToString) -> Self {
        Self::Corrupt {
            what,
            key: key.to_string(),
        }
    }
}

fn kind_of_import(error: &ImportError) -> DataErrorKind {
    match error {
        ImportError::Refused { source, .. } => source.kind(),
        _ => DataErrorKind::Invalid,
    }
}

fn kind_of_relation(error: &RelationError) -> DataErrorKind {
    match error {
        RelationError::NotFound { .. } => DataErrorKind::NotFound,
        RelationError::Restricted { .. }
        | RelationError::Cardinality { .. }
        | RelationError::TargetGone { .. } => DataErrorKind::Conflict,
        RelationError::TooManyTargets { .. } => DataErrorKind::LimitReached,
        _ => DataErrorKind::Invalid,
    }
}

fn kind_of_type_change(error: &TypeChangeError) -> DataErrorKind {
    match error {
        TypeChangeError::NotFound { .. } => DataErrorKind::NotFound,
        TypeChangeError::NotConvertible { .. } | TypeChangeError::Definition(_) => {
            DataErrorKind::Invalid
        }
        _ => DataErrorKind::Conflict,
    }
}

fn kind_of_virtual(error: &VirtualError) -> DataErrorKind {
    match error {
        VirtualError::NotFound => DataErrorKind::NotFound,
        VirtualError::Unsupported { .. } => DataErrorKind::Refused,
        VirtualError::TooManyRows { .. } => DataErrorKind::LimitReached,
        error if error.is_retryable() => DataErrorKind::Unavailable,
        _ => DataErrorKind::Internal,
    }
}

fn kind_of_db(error: &DbError) -> DataErrorKind {
    match error {
        DbError::NotFound => DataErrorKind::NotFound,
        DbError::Invalid { .. } => DataErrorKind::Invalid,
        DbError::AlreadyExists { .. } | DbError::Conflict { .. } => DataErrorKind::Conflict,
        DbError::Unavailable { .. } | DbError::Timeout { .. } | DbError::OutcomeUnknown => {
            DataErrorKind::Unavailable
        }
        _ => DataErrorKind::Internal,
    }
}

impl Retryable for DataError {
    fn is_retryable(&self) -> bool {
        DataError::is_retryable(self)
    }
}

/// So that `?` works on statements. The driver's text is dropped, as [`DbError`] does.
impl From<sqlx::Error> for DataError {
    fn from(error: sqlx::Error) -> Self {
        Self::Db(error.into())
    }
}

/// Writes `; did you mean ..`, or nothing.
pub(crate) struct Nearest<'a>(pub(crate) Option<&'a str>);

impl std::fmt::Display for Nearest<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0
            .map_or(Ok(()), |name| write!(f, "; did you mean `{name}`?"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_register_names_a_similar_one() {
        let error = DataError::RegisterNotFound {
            name: "invoice".to_owned(),
            nearest: Some("invoices".to_owned()),
        };
        assert_eq!(
            error.to_string(),
            "no register is called `invoice`; did you mean `invoices`?"
        );
        assert!(error.is_not_found() && !error.is_retryable());
    }

    #[test]
    fn an_error_is_small_enough_to_be_returned_by_value() {
        assert!(size_of::<DataError>() <= 128, "{}", size_of::<DataError>());
    }
}
