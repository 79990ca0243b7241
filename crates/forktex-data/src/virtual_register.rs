// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! Registers whose rows are kept elsewhere: behind an API, or computed when they are asked for.
//!
//! A source says which fields its rows have and what it can do by itself. What it cannot do is done
//! here, in memory, over all the rows that the source gives. This module refuses to answer from a part
//! of them: a source that has more rows than may be held, that stops midway, or whose order is not the
//! one that it claims, is an error.

mod capabilities;
pub(crate) mod execute;
mod gather;
mod push;
mod request;

use std::error::Error;
use std::time::Duration;

use async_trait::async_trait;
use uuid::Uuid;

use crate::custom_type::TypeRegistry;
use crate::draft::Draft;
use crate::error::DataError;
use crate::field::FieldDefinition;
use crate::keys::{FieldKey, RegisterKey};
use crate::limits::FIELDS_MAX;
use crate::register::{BuildState, Field, LoadedRegister};
use crate::validate::CellProblem;
use crate::value::ValueKind;

pub use capabilities::{
    Paging, VIRTUAL_FETCH_TIMEOUT_DEFAULT, VIRTUAL_PAGE_ROWS_DEFAULT, VIRTUAL_PAGES_MAX,
    VIRTUAL_ROWS_LIMIT, VirtualCapabilities,
};
pub(crate) use request::integer_of_uuid;
pub use request::{
    VirtualCondition, VirtualId, VirtualPage, VirtualPosition, VirtualRequest, VirtualRow,
    VirtualSort,
};

/// A register whose rows come from code: an external API, or something computed on the fly.
///
/// It is given to [`DataBuilder::virtual_register`](crate::DataBuilder::virtual_register) under a name,
/// and is then asked with the same [`RowQuery`](crate::RowQuery) as any other register.
///
/// # What a source must hold to
/// - [`fetch`](Self::fetch) gives at least the rows that match the request. More are allowed: each
///   condition is tested again here. Fewer would make answers wrong, and nobody could notice.
/// - The rows of one tenant are given for that tenant only. Nothing below this trait can know whose an
///   external row is.
/// - Where the request has a sort, rows come in that order: texts by code point, rows without a value
///   last when ascending and first when descending. Another order is found out and refused.
///
/// # Examples
/// ```
/// use forktex_data::{
///     FieldDefinition, VirtualError, VirtualPage, VirtualRegister, VirtualRequest, VirtualRow,
///     async_trait,
/// };
/// use uuid::Uuid;
///
/// struct Squares;
///
/// #[async_trait]
/// impl VirtualRegister for Squares {
///     fn fields(&self) -> Vec<FieldDefinition> {
///         vec![FieldDefinition::integer("root"), FieldDefinition::integer("square")]
///     }
///
///     async fn fetch(
///         &self,
///         _tenant: Uuid,
///         _request: &VirtualRequest,
///     ) -> Result<VirtualPage, VirtualError> {
///         let rows = (1..=100_i64)
///             .map(|root| VirtualRow::new(root).set("root", root).set("square", root * root));
///         Ok(VirtualPage::new(rows))
///     }
/// }
/// ```
#[async_trait]
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a source of rows",
    note = "implement `forktex_data::VirtualRegister`: `fields` and `fetch` are enough"
)]
pub trait VirtualRegister: Send + Sync + 'static {
    /// The fields of its rows. Asked once for each time that the register is loaded.
    ///
    /// Fields that are computed by this crate (lookups, rollups, formulas, numbers) and references are
    /// not possible here, nor are `unique` and `indexed`: what a source guarantees is its own affair.
    fn fields(&self) -> Vec<FieldDefinition>;

    /// What it can do by itself. By default nothing: it is asked once for all of its rows.
    fn capabilities(&self) -> VirtualCapabilities {
        VirtualCapabilities::new()
    }

    /// One page of the rows of `tenant`.
    ///
    /// Called once for each page, at most [`VIRTUAL_PAGES_MAX`] times for one query, and each time with
    /// the time limit of [`VirtualCapabilities::fetch_timeout`].
    ///
    /// # Errors
    /// What the source says. The query fails with it; nothing is answered from the pages before.
    ///
    /// # Cancellation
    /// The future is dropped at the time limit, and when the one who asked goes away.
    async fn fetch(
        &self,
        tenant: Uuid,
        request: &VirtualRequest,
    ) -> Result<VirtualPage, VirtualError>;

    /// Adds a row, and returns it as the source keeps it.
    ///
    /// # Errors
    /// [`VirtualError::Unsupported`] unless the source implements it.
    ///
    /// # Cancellation
    /// The source may have kept the row or not.
    async fn create(&self, tenant: Uuid, draft: &Draft) -> Result<VirtualRow, VirtualError> {
        let _ = (tenant, draft);
        Err(VirtualError::Unsupported { what: "create" })
    }

    /// Changes the fields of a row that are in `draft`, and returns it as the source keeps it.
    ///
    /// # Errors
    /// [`VirtualError::Unsupported`] unless the source implements it; [`VirtualError::NotFound`] when
    /// the tenant has no such row.
    ///
    /// # Cancellation
    /// The source may have changed the row or not.
    async fn patch(
        &self,
        tenant: Uuid,
        id: &VirtualId,
        draft: &Draft,
    ) -> Result<VirtualRow, VirtualError> {
        let _ = (tenant, id, draft);
        Err(VirtualError::Unsupported { what: "patch" })
    }

    /// Deletes a row for good.
    ///
    /// # Errors
    /// [`VirtualError::Unsupported`] unless the source implements it; [`VirtualError::NotFound`] when
    /// the tenant has no such row.
    ///
    /// # Cancellation
    /// The source may have deleted the row or not.
    async fn delete(&self, tenant: Uuid, id: &VirtualId) -> Result<(), VirtualError> {
        let _ = (tenant, id);
        Err(VirtualError::Unsupported { what: "delete" })
    }
}

/// Why a virtual register could not answer, or may not be believed.
///
/// It names fields and limits, never the values of a row. What the source itself reports is in
/// `source()`.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum VirtualError {
    /// The source cannot be reached, or does not serve now. The same call may succeed later.
    #[error("the source is not available; see that it runs and can be reached")]
    Unavailable {
        /// What the source reports.
        source: Box<dyn Error + Send + Sync>,
    },

    /// The source failed in a way that the same call will meet again.
    #[error("the source failed to answer")]
    Failed {
        /// What the source reports.
        source: Box<dyn Error + Send + Sync>,
    },

    /// The source took too long for one page.
    #[error("the source gave no page within {limit:?}; ask for smaller pages, or allow more time")]
    TimedOut {
        /// The limit: [`VirtualCapabilities::fetch_timeout`].
        limit: Duration,
    },

    /// The source has more rows for this query than may be held in memory.
    #[error(
        "the query needs more than {rows_max} rows of the source; narrow it by what the source can \
         filter, or raise `rows_max`"
    )]
    TooManyRows {
        /// The limit: [`VirtualCapabilities::rows_max`].
        rows_max: usize,
    },

    /// The source went on giving pages without coming to an end.
    #[error(
        "the source gave {pages_max} pages and did not come to an end; let it give larger pages"
    )]
    TooManyPages {
        /// The limit: [`VIRTUAL_PAGES_MAX`].
        pages_max: usize,
    },

    /// The source named the same place as where to go on twice, which would never end.
    #[error("the source does not advance: it gives the same cursor again")]
    NoProgress,

    /// A row came twice in one reading: the source's list moved meanwhile, and may have lost others. The
    /// same call may succeed later.
    #[error("the source gave a row twice, so that others may be missing; ask again")]
    Repeated,

    /// Rows did not come in the order that was asked for and that the source says it can give.
    #[error("the source does not keep the order by `{field}` that it claims")]
    Misordered {
        /// The field of the sort.
        field: String,
    },

    /// A cell does not fit its field.
    #[error("the source gave a row whose field `{field}` does not fit its type")]
    Cell {
        /// The field.
        field: String,
        /// What is wrong with the cell.
        #[source]
        problem: Box<CellProblem>,
    },

    /// A row has a cell for a field that [`VirtualRegister::fields`] does not name.
    #[error("the source gave a row with the unknown field `{field}`")]
    UnknownField {
        /// The name in the row.
        field: String,
    },

    /// The source does not do this.
    #[error("the source does not support `{what}`")]
    Unsupported {
        /// What was asked for.
        what: &'static str,
    },

    /// The source has no such row for this tenant.
    #[error("the source has no such row")]
    NotFound,
}

/// The definition of a virtual register. Its fields have keys from -1 downwards, which no field in the
/// catalogue has.
pub(crate) fn load(
    name: &str,
    source: &dyn VirtualRegister,
    types: &TypeRegistry,
) -> Result<LoadedRegister, DataError> {
    let definitions = source.fields();
    if definitions.len() > FIELDS_MAX {
        return Err(DataError::LimitReached {
            what: "fields",
            max: FIELDS_MAX,
        });
    }
    let fields = (1..)
        .zip(definitions)
        .map(|(key, definition)| -> Result<Field, DataError> {
            let field_type = &definition.field_type;
            let is_own = !field_type.is_read_only() && !field_type.is_reference();
            let kind = definition
                .kind(types)
                .filter(|_| is_own && !definition.unique);
            let kind = kind.ok_or_else(|| DataError::Unsupported {
                register: name.to_owned(),
                what: format!("guarantee what the field `{}` promises", definition.name).into(),
                source_kind: "virtual",
            })?;
            Ok(foreign_field(FieldKey(-key), definition, kind))
        });
    Ok(LoadedRegister {
        key: RegisterKey::NONE,
        name: name.to_owned(),
        label: None,
        description: None,
        keeps_history: false,
        version: 1,
        fields: fields.collect::<Result<_, DataError>>()?,
        relationships: Vec::new(),
    })
}

/// A field that this crate does not store: nothing is built for it, and a search in it is possible at
/// once.
pub(crate) fn foreign_field(key: FieldKey, definition: FieldDefinition, kind: ValueKind) -> Field {
    let search = if definition.searchable {
        BuildState::Ready
    } else {
        BuildState::None
    };
    Field {
        key,
        definition,
        kind,
        index: BuildState::None,
        unique_state: BuildState::None,
        search,
    }
}

impl VirtualError {
    /// The source cannot be reached now.
    pub fn unavailable(source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self::Unavailable {
            source: source.into(),
        }
    }

    /// The source failed, and will again.
    pub fn failed(source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self::Failed {
            source: source.into(),
        }
    }

    /// Whether the same call may well succeed later.
    pub fn is_retryable(&self) -> bool {
        matches!(
            self,
            Self::Unavailable { .. } | Self::TimedOut { .. } | Self::Repeated
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_passes_is_worth_another_try() {
        assert!(VirtualError::unavailable("down").is_retryable());
        assert!(VirtualError::Repeated.is_retryable());
        assert!(!VirtualError::failed("no").is_retryable());
        assert!(!VirtualError::TooManyRows { rows_max: 1 }.is_retryable());
    }

    #[test]
    fn what_the_source_reports_is_the_cause() {
        let error = VirtualError::failed("the API answered 500");
        assert_eq!(error.to_string(), "the source failed to answer");
        assert_eq!(
            error.source().map(ToString::to_string).as_deref(),
            Some("the API answered 500")
        );
    }
}
