// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! Why the type of a field was not changed. No variant holds a value of a row.

use super::TypeChangeId;
use crate::field::DefinitionError;

/// A type change that was refused, or cannot be completed.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum TypeChangeError {
    /// The tenant has no such type change.
    #[error("there is no type change {id}")]
    NotFound {
        /// Its number.
        id: TypeChangeId,
    },
    /// One of the two types has no cells that could be converted.
    #[error("cannot change the type of field `{field}`: {reason}")]
    NotConvertible {
        /// The field.
        field: String,
        /// Why.
        reason: &'static str,
    },
    /// The new definition makes no sense by itself.
    #[error("cannot change the type of a field: {0}")]
    Definition(Box<DefinitionError>),
    /// Another change of the same field is under way.
    #[error(
        "cannot change the type of field `{field}`: change {id} is under way; resume or undo it"
    )]
    UnderWay {
        /// The field.
        field: String,
        /// The change.
        id: TypeChangeId,
    },
    /// Cells cannot be converted. The field has its old type.
    #[error(
        "type change {id} cannot be completed: {failed} cells do not convert; mend them and resume it, or \
         undo it"
    )]
    Unconvertible {
        /// The change.
        id: TypeChangeId,
        /// How many.
        failed: u64,
    },
    /// It was undone before.
    #[error("type change {id} is undone already")]
    Undone {
        /// The change.
        id: TypeChangeId,
    },
    /// The rows are written faster than they can be converted.
    #[error(
        "type change {id} cannot catch up with the writes to its register; resume it when there are fewer"
    )]
    Busy {
        /// The change.
        id: TypeChangeId,
    },
}
