// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! Registers, fields and relations that tenants define at run time: typed rows on Postgres, and one query
//! shape over stored, bound and virtual registers.
//!
//! | To | Use |
//! |---|---|
//! | begin | [`Data::new`], [`Data::builder`], [`Data::migrate`] |
//! | work for one organisation | [`Data::tenant`], [`TenantData`] |
//! | define a register | [`RegisterDefinition`], [`TenantData::create_register`] |
//! | define a field | [`FieldDefinition`], [`FieldType`], [`Register::add_field`] |
//! | bring a type of your own | [`CustomType`], [`DataBuilder::custom_type`] |
//! | relate registers | [`RelationshipDefinition`], [`Register::add_relationship`] |
//! | compute fields | [`FieldDefinition::formula`], [`FieldDefinition::lookup`], [`FieldDefinition::rollup`] |
//! | load a register | [`Register::load`], [`TenantData::register`] |
//! | write rows | [`Register::rows`], [`Draft`], [`Rows`] |
//! | write in a transaction of your own | [`Register::rows_in`] |
//! | ask for rows | [`RowQuery`], [`field`], [`Filter`] |
//! | take filters from callers | [`Filter::from_json`] |
//! | see why a query is slow | [`RowQuery::explain`], [`Register::set_indexed`] |
//! | use a table that is there | [`BoundRegister`], [`DataBuilder::bound_register`] |
//! | answer from code | [`VirtualRegister`], [`DataBuilder::virtual_register`] |
//! | move a schema | [`TenantData::describe`], [`TenantData::diff`], [`TenantData::apply`] |
//! | change the type of a field | [`Register::change_type`], [`TypeChange`] |
//! | bring data in and out | [`Register::import`], [`Register::export`] |
//! | describe a register to others | [`Register::json_schema`], [`TenantData::openapi`] |
//! | serve it over HTTP | `http::RegistersRouter`, with the feature `http` |
//! | do what changes have left | [`TenantData::run_maintenance`] |
//! | tell failures apart | [`DataError`], [`DataErrorKind`] |
//!
//! A tenant never causes DDL. All rows stand in one table, with their cells as JSON under the key of the
//! field, so that adding or renaming a field touches no row; an index is entries in a side table, which is
//! built online. Every table carries the tenant, every statement names it, and row-level security holds
//! it: a row of another tenant or register is not found.
//!
//! A cell is in one of three states, which are kept apart: absent, null, or a value. Texts are compared by
//! code point. Decimals are exact. Every list, page and batch has a bound, in [`limits`].
//!
//! This crate reads no environment variables, and shows no value of a row in a log, an error or `Debug` of
//! an error. It runs nothing in the background by itself.
//!
//! # Examples
//!
//! ```no_run
//! use forktex_data::{DataError, Register, RowQuery, field};
//! use time::macros::date;
//!
//! # async fn example(db: forktex_db::Db, org: uuid::Uuid) -> Result<(), DataError> {
//! let invoices = Register::load(&db, "invoices").tenant(org).await?;
//! let result = RowQuery::new(&invoices)
//!     .filter(field("status").eq("paid"))
//!     .since(date!(2026 - 01 - 01))
//!     .order_by("-issued_at")
//!     .search("acme")
//!     .facets(["status", "country"])
//!     .scroll(50)
//!     .await?;
//! for row in &result.rows {
//!     println!("{:?}", row.get("number"));
//! }
//! # Ok(())
//! # }
//! ```

mod bound;
mod capability;
mod catalog;
mod cell;
mod coerce;
mod computed;
mod cursor;
mod custom_type;
mod data;
mod draft;
mod error;
mod explain;
mod export;
mod field;
mod field_name;
mod field_type;
mod filter;
mod formula;
#[cfg(feature = "http")]
pub mod http;
mod import;
mod index;
mod json_schema;
mod keys;
pub mod limits;
mod memory;
mod openapi;
mod operator;
mod query;
mod register;
mod relation_error;
mod relations;
mod relationship;
mod result;
mod row;
mod rows;
mod schema;
mod search;
mod sort;
mod tenant_data;
mod type_change;
mod validate;
mod value;
mod virtual_register;

#[doc(hidden)]
pub mod __private;

pub use crate::bound::{BoundError, BoundRegister};
pub use crate::capability::{AggregateFunction, Capabilities};
pub use crate::cell::Cell;
pub use crate::cursor::Cursor;
#[doc(hidden)]
pub use crate::cursor::parse_cursor_of_any_kind;
pub use crate::custom_type::{CustomType, TypeRegistry};
pub use crate::data::{Data, DataBuilder};
pub use crate::draft::{Draft, DraftCell, DraftError};
pub use crate::error::{DataError, DataErrorKind};
pub use crate::explain::{ExplainReason, ExplainWarning, Explanation};
pub use crate::export::{Export, ExportFormat};
pub use crate::field::{DefinitionError, DefinitionProblem, FieldDefinition};
pub use crate::field_name::NameProblem;
pub use crate::field_type::{
    DateRules, DatetimeRules, DecimalRules, EnumOption, EnumOptions, FieldType, IntegerRules,
    Pattern, Rollup, TextRules,
};
pub use crate::filter::{Filter, FilterField, Operand, field, related};
pub use crate::formula::{CheckedFormula, Formula, FormulaError, FormulaProblem, Span};
pub use crate::import::{
    Import, ImportError, ImportFormat, ImportProblem, ImportReport, OnError, QuarantinedRow,
    RecordProblem, RowProblem, StructureProblem,
};
pub use crate::operator::Operator;
pub use crate::query::{
    Aggregate, Archived, Count, FilterProblem, QueryError, QueryPart, RowQuery,
};
pub use crate::register::{BuildState, Field, Register, RegisterLoad};
pub use crate::relation_error::RelationError;
pub use crate::relations::{DeletePlan, PathStep, PlannedRows, Restriction};
pub use crate::relationship::{Cardinality, OnDelete, RelationshipDefinition};
pub use crate::result::{FacetValue, Group, QueryResult, Total};
pub use crate::row::{InvalidRowId, Row, RowDecodeError, RowId};
pub use crate::rows::{RowAction, RowChange, RowDeletion, RowVersion, Rows, RowsIn, Upserted};
pub use crate::schema::{
    Apply, ApplyReport, Change, Destructive, RegisterDefinition, RegisterVersion, SchemaDocument,
    SchemaError,
};
pub use crate::sort::SortDirection;
pub use crate::tenant_data::{MaintenanceReport, RegisterSummary, TenantData};
pub use crate::type_change::{
    TypeChange, TypeChangeError, TypeChangeId, TypeChangePlan, TypeChangeReport, TypeChangeSample,
    TypeChangeState, TypeChangeSummary,
};
pub use crate::validate::{CellProblem, RowProblems};
pub use crate::value::{Value, ValueKind};
pub use crate::virtual_register::{
    Paging, VirtualCapabilities, VirtualCondition, VirtualError, VirtualId, VirtualPage,
    VirtualPosition, VirtualRegister, VirtualRequest, VirtualRow, VirtualSort,
};

/// Makes the methods of [`VirtualRegister`] async.
pub use async_trait::async_trait;

/// Exact decimal numbers: what a field of decimals holds.
pub use rust_decimal::Decimal;
