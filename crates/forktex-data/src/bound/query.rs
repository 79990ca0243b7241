// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! The table as a source of rows for queries in SQL. Each statement that goes by it names the tenant.

use std::sync::Arc;

use uuid::Uuid;

use super::BoundRegister;
use super::columns::{ALIAS, Column as TableColumn, IdKind, cells};
use super::table::BoundTable;
use crate::error::DataError;
use crate::filter::check::Column;
use crate::keys::FieldKey;
use crate::query::sql::{EmptyState, Entry, Form, RowBase, RowSource, SqlExpression, SqlWriter};
use crate::register::{Field, LoadedRegister, Register};
use crate::value::ValueKind;

/// The alias of the rows that hold the fields which tenants have added.
const EXTENSION: &str = "extension";

/// An instant for rows of a table that does not say when they came to be or changed.
const EPOCH: &str = "TIMESTAMPTZ '1970-01-01 00:00:00+00'";

/// The rows of a bound register of one tenant.
pub(crate) struct BoundSource {
    register: Arc<LoadedRegister>,
    table: Arc<BoundTable>,
    tenant: Uuid,
}

/// The source for a register that was loaded before. Nothing is sent.
pub(crate) fn source(
    register: &Register,
    bound: &Arc<BoundRegister>,
) -> Result<Box<dyn RowSource>, DataError> {
    Ok(Box::new(BoundSource::new(register, bound)?))
}

impl BoundSource {
    pub(super) fn new(register: &Register, bound: &BoundRegister) -> Result<Self, DataError> {
        Ok(Self {
            register: Arc::clone(register.loaded()),
            table: Arc::clone(bound.table_found()?),
            tenant: register.tenant(),
        })
    }

    /// The table's column of a field; none for one that the tenant has added.
    fn column(&self, key: FieldKey) -> Option<&TableColumn> {
        let position = key.0.checked_neg()?.checked_sub(1)?;
        self.table.columns.get(usize::try_from(position).ok()?)
    }

    fn field(&self, position: usize) -> Option<&Field> {
        self.register.fields.get(position)
    }

    /// Whether the tenant has added fields.
    fn is_extended(&self) -> bool {
        self.register.fields.iter().any(|field| field.key.0 > 0)
    }

    /// The row's id, as a UUID.
    pub(super) fn row_id(&self) -> String {
        self.table.id_kind.row_id(&self.table.id)
    }

    /// The condition that the row is the tenant's.
    pub(super) fn tenant_condition(&self) -> String {
        match &self.table.tenant {
            Some(column) => format!("{} = '{}'::uuid", column.sql, self.tenant),
            None => "TRUE".to_owned(),
        }
    }

    /// The table itself, with its alias.
    pub(super) fn table_sql(&self) -> String {
        format!("{} AS {ALIAS}", self.table.sql)
    }

    pub(super) fn table(&self) -> &BoundTable {
        &self.table
    }

    /// The table, and beside it the rows that hold what the tenant has added.
    fn joined(&self) -> String {
        let table = self.table_sql();
        if !self.is_extended() {
            return table;
        }
        format!(
            "{table} LEFT JOIN forktex_data.row AS {EXTENSION} \
             ON {EXTENSION}.register_key = {} AND {EXTENSION}.id = {}",
            self.register.key,
            self.row_id()
        )
    }

    fn cells(&self) -> String {
        let fields = self.register.fields.iter();
        let columns = fields.filter_map(|field| {
            let column = self.column(field.key)?;
            Some((field.key.0, column, field.kind))
        });
        let own = cells(columns);
        if self.is_extended() {
            return format!("({own} || coalesce({EXTENSION}.cells, '{{}}'::jsonb))");
        }
        format!("({own})")
    }

    /// When rows came to be: 1970, where the table does not say.
    fn created_at(&self) -> String {
        instant(self.table.created_at.iter())
    }

    fn updated_at(&self) -> String {
        instant(self.table.updated_at.iter().chain(&self.table.created_at))
    }

    fn archived_at(&self) -> String {
        let column = self.table.archived_at.as_ref();
        column.map_or_else(
            || "NULL::timestamptz".to_owned(),
            |column| column.sql.clone(),
        )
    }

    fn version(&self) -> String {
        match &self.table.version {
            Some(column) => format!("coalesce(({})::bigint, 1)", column.sql),
            None => "1::bigint".to_owned(),
        }
    }

    fn external_ref(&self) -> String {
        match self.table.id_kind {
            IdKind::Uuid => "NULL::text".to_owned(),
            IdKind::Integer => format!("({})::text", self.table.id.sql),
        }
    }

    fn field_expression(&self, field: &Field) -> SqlExpression {
        let sql = match (self.column(field.key), field.kind) {
            (Some(column), ValueKind::Json) => format!("({})::jsonb", column.sql),
            (Some(column), kind) => column.canonical(kind),
            (None, ValueKind::Json) => format!("({EXTENSION}.cells->'{}'->0)", field.key),
            (None, ValueKind::Integer | ValueKind::Decimal) => {
                format!("({EXTENSION}.cells->>'{}')::numeric", field.key)
            }
            (None, _) => format!("({EXTENSION}.cells->>'{}')", field.key),
        };
        match field.kind {
            ValueKind::Integer | ValueKind::Decimal => expression(sql, Form::Number),
            ValueKind::Json => expression(sql, Form::Json),
            _ => expression(format!("({sql} COLLATE \"C\")"), Form::Text),
        }
    }
}

impl RowSource for BoundSource {
    fn register(&self) -> &LoadedRegister {
        &self.register
    }

    fn base(&self) -> RowBase {
        RowBase {
            from: self.joined(),
            id: self.row_id(),
            version: self.version(),
            external_ref: self.external_ref(),
            created_at: self.created_at(),
            updated_at: self.updated_at(),
            archived_at: self.archived_at(),
            cells: self.cells(),
            archived: self.table.archived_at.as_ref().map(|_| self.archived_at()),
            searchable: false,
        }
    }

    fn condition(&self, _writer: &mut SqlWriter) -> String {
        self.tenant_condition()
    }

    fn expression(&self, _writer: &mut SqlWriter, column: Column) -> SqlExpression {
        match column {
            Column::Field(position) => match self.field(position) {
                Some(field) => self.field_expression(field),
                None => expression("NULL::text".to_owned(), Form::Text),
            },
            Column::Id => expression(self.row_id(), Form::Uuid),
            Column::CreatedAt => expression(self.created_at(), Form::Instant),
            Column::UpdatedAt => expression(self.updated_at(), Form::Instant),
            Column::ArchivedAt => expression(self.archived_at(), Form::Instant),
            Column::Version => expression(format!("({})::numeric", self.version()), Form::Number),
            Column::ExternalRef => expression(
                format!("({} COLLATE \"C\")", self.external_ref()),
                Form::Text,
            ),
        }
    }

    fn is_indexed(&self, column: Column) -> bool {
        // The id itself is looked up by its index; one that is made of a number is not.
        column == Column::Id && self.table.id_kind == IdKind::Uuid
    }

    fn entry(&self, _field: usize) -> Option<Entry> {
        None
    }

    fn state(&self, _writer: &mut SqlWriter, field: usize, state: EmptyState) -> String {
        let Some(field) = self.field(field) else {
            return "FALSE".to_owned();
        };
        match (self.column(field.key), state) {
            (Some(column), EmptyState::Null) => format!("({} IS NULL)", column.sql),
            (Some(_), EmptyState::Absent) => "FALSE".to_owned(),
            (None, EmptyState::Null) => format!(
                "(({EXTENSION}.cells->'{}' = 'null'::jsonb) IS TRUE)",
                field.key
            ),
            (None, EmptyState::Absent) => {
                format!("(({EXTENSION}.cells ? '{}') IS NOT TRUE)", field.key)
            }
        }
    }
}

/// The first of these columns that has an instant.
fn instant<'a>(columns: impl Iterator<Item = &'a TableColumn>) -> String {
    let known: Vec<&str> = columns.map(|column| column.sql.as_str()).collect();
    if known.is_empty() {
        return EPOCH.to_owned();
    }
    format!("coalesce({}, {EPOCH})", known.join(", "))
}

fn expression(sql: String, form: Form) -> SqlExpression {
    SqlExpression { sql, form }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bound::extension;
    use crate::field::FieldDefinition;
    use crate::keys::RegisterKey;
    use crate::virtual_register::foreign_field;

    fn column(name: &str, type_name: &str) -> TableColumn {
        TableColumn {
            sql: format!("{ALIAS}.\"{name}\""),
            type_name: type_name.to_owned(),
            is_enum: false,
            is_not_null: true,
        }
    }

    fn field(key: i64, name: &str) -> Field {
        foreign_field(FieldKey(key), FieldDefinition::text(name), ValueKind::Text)
    }

    fn source(tenant: Option<&str>, added: Vec<Field>) -> BoundSource {
        let fields = vec![field(-1, "name")];
        let mut extension = extension::definition("client", &[], None);
        extension.key = RegisterKey(7);
        extension.fields = added;
        let register = extension::definition("client", &fields, Some(extension));
        let table = BoundTable {
            sql: "\"shop\".\"client\"".to_owned(),
            id: column("id", "int8"),
            id_kind: IdKind::Integer,
            tenant: tenant.map(|name| column(name, "uuid")),
            fields,
            columns: vec![column("label", "text")],
            created_at: None,
            updated_at: None,
            archived_at: None,
            version: None,
        };
        BoundSource {
            register: Arc::new(register),
            table: Arc::new(table),
            tenant: Uuid::from_u128(5),
        }
    }

    #[test]
    fn every_statement_names_the_tenant() {
        let source = source(Some("org_id"), Vec::new());
        assert_eq!(
            source.condition(&mut SqlWriter::default()),
            r#"bound."org_id" = '00000000-0000-0000-0000-000000000005'::uuid"#
        );
        assert_eq!(source.base().from, r#""shop"."client" AS bound"#);
    }

    #[test]
    fn what_a_tenant_has_added_stands_beside_the_table() {
        let source = source(Some("org_id"), vec![field(42, "nickname")]);
        let base = source.base();
        assert!(
            base.from
                .contains("LEFT JOIN forktex_data.row AS extension")
        );
        assert!(base.from.contains("extension.register_key = 7"));
        let mut writer = SqlWriter::default();
        let own = source.expression(&mut writer, Column::Field(0)).sql;
        assert_eq!(own, r#"((bound."label")::text COLLATE "C")"#);
        let added = source.expression(&mut writer, Column::Field(1)).sql;
        assert_eq!(added, r#"((extension.cells->>'42') COLLATE "C")"#);
    }

    #[test]
    fn null_in_the_table_is_a_cell_that_was_emptied() {
        let source = source(None, Vec::new());
        let mut writer = SqlWriter::default();
        assert_eq!(source.condition(&mut writer), "TRUE");
        assert_eq!(
            source.state(&mut writer, 0, EmptyState::Null),
            r#"(bound."label" IS NULL)"#
        );
        assert_eq!(source.state(&mut writer, 0, EmptyState::Absent), "FALSE");
    }
}
