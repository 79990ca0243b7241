// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! The rows of stored registers, as a source in SQL.

use crate::filter::check::Column;
use crate::register::LoadedRegister;
use crate::value::ValueKind;

use super::sql::{
    CREATED_AT_IN_ID, EmptyState, Entry, Form, Key, RowBase, RowSource, SqlExpression, SqlWriter,
};

/// A register in the tables of this crate.
pub(crate) struct StoredSource<'a> {
    register: &'a LoadedRegister,
    /// What the table is called in the statement: a word of ours.
    alias: &'static str,
}

impl<'a> StoredSource<'a> {
    pub(crate) fn new(register: &'a LoadedRegister) -> Self {
        Self::with_alias(register, "r")
    }

    pub(crate) fn with_alias(register: &'a LoadedRegister, alias: &'static str) -> Self {
        Self { register, alias }
    }

    fn cell(&self, writer: &mut SqlWriter, field: usize) -> SqlExpression {
        let alias = self.alias;
        let Some(field) = self.register.fields.get(field) else {
            return expression("NULL::text", Form::Text);
        };
        let key = writer.bind_key(Key::Cell(field.key));
        match field.kind() {
            ValueKind::Integer | ValueKind::Decimal => {
                expression(format!("({alias}.cells ->> {key})::numeric"), Form::Number)
            }
            ValueKind::Json => expression(
                format!("NULLIF({alias}.cells -> {key}, 'null'::jsonb)"),
                Form::Json,
            ),
            _ => expression(
                format!("(({alias}.cells ->> {key}) COLLATE \"C\")"),
                Form::Text,
            ),
        }
    }
}

impl RowSource for StoredSource<'_> {
    fn register(&self) -> &LoadedRegister {
        self.register
    }

    fn base(&self) -> RowBase {
        let alias = self.alias;
        let column = |name: &str| format!("{alias}.{name}");
        RowBase {
            from: format!("forktex_data.row {alias}"),
            id: column("id"),
            version: column("version"),
            external_ref: column("external_ref"),
            created_at: CREATED_AT_IN_ID.to_owned(),
            updated_at: column("updated_at"),
            archived_at: column("archived_at"),
            cells: column("cells"),
            archived: Some(column("archived_at")),
            searchable: true,
        }
    }

    fn condition(&self, writer: &mut SqlWriter) -> String {
        let key = writer.bind_key(Key::Register(self.register.key));
        format!("{}.register_key = {key}", self.alias)
    }

    fn expression(&self, writer: &mut SqlWriter, column: Column) -> SqlExpression {
        let alias = self.alias;
        match column {
            Column::Field(place) => self.cell(writer, place),
            Column::Id => expression(format!("{alias}.id"), Form::Uuid),
            // Nothing asks for it: it is asked through the id.
            Column::CreatedAt => expression(CREATED_AT_IN_ID, Form::Instant),
            Column::UpdatedAt => expression(format!("{alias}.updated_at"), Form::Instant),
            Column::ArchivedAt => expression(format!("{alias}.archived_at"), Form::Instant),
            Column::Version => expression(format!("{alias}.version::numeric"), Form::Number),
            Column::ExternalRef => {
                expression(format!("({alias}.external_ref COLLATE \"C\")"), Form::Text)
            }
        }
    }

    fn is_indexed(&self, column: Column) -> bool {
        matches!(column, Column::Id | Column::CreatedAt | Column::ExternalRef)
    }

    fn entry(&self, field: usize) -> Option<Entry> {
        let field = self.register.fields.get(field)?;
        field.index_state().is_ready().then(|| {
            let (table, column) = if field.kind().is_number() {
                ("forktex_data.value_number", "sort_key")
            } else {
                ("forktex_data.value_text", "value")
            };
            Entry {
                table,
                column,
                key: field.key,
            }
        })
    }

    fn is_one_table(&self) -> bool {
        self.alias == "r"
    }

    fn state(&self, writer: &mut SqlWriter, field: usize, state: EmptyState) -> String {
        let alias = self.alias;
        let Some(field) = self.register.fields.get(field) else {
            return "FALSE".to_owned();
        };
        let key = writer.bind_key(Key::Cell(field.key));
        match state {
            EmptyState::Null => format!("(({alias}.cells -> {key} = 'null'::jsonb) IS TRUE)"),
            EmptyState::Absent => format!("(NOT {alias}.cells ? {key})"),
        }
    }
}

fn expression(sql: impl Into<String>, form: Form) -> SqlExpression {
    SqlExpression {
        sql: sql.into(),
        form,
    }
}
