// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! All that an expansion of the macros may name. Not part of the public API.

pub use inventory;
pub use sqlx::types::Text as AsText;
pub use uuid::Uuid;

pub use crate::error::DbError;
pub use crate::model::{
    Archivable, Column, ColumnInfo, ColumnRole, JsonColumn, Model, ModelInfo, NewModel, OrgScoped,
    Row, SealedColumn, Shared, SharedModel, json, optional_text, plaintext, text,
};
pub use crate::page::parse_cursor_of_any_kind;
pub use crate::schema_check::RegisteredModel;
pub use crate::value::{ColumnType, Value};
