// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! The one look at a table: that it is there, and is what was said of it.

use std::collections::{BTreeMap, BTreeSet};

use forktex_db::sqlx::Row as _;
use forktex_db::{Db, DbError, quote_identifier, sqlx};
use uuid::Uuid;

use super::columns::{ALIAS, Column, IdKind};
use super::{BoundError, BoundRegister, Tenancy, wanted};
use crate::custom_type::TypeRegistry;
use crate::field::FieldDefinition;
use crate::keys::FieldKey;
use crate::limits::FIELDS_MAX;
use crate::register::Field;
use crate::value::ValueKind;
use crate::virtual_register::foreign_field;

/// The columns of the table named in $1; no row where there is no such table.
/// Locks: none but those of a read. Index: `pg_attribute_relid_attnum_index`.
const COLUMNS: &str = "\
SELECT attribute.attname::text                        AS name,
       coalesce(base.typname, type.typname)::text     AS type_name,
       coalesce(base.typtype, type.typtype) = 'e'     AS is_enum,
       (attribute.attnotnull OR type.typnotnull)      AS is_not_null
FROM pg_attribute AS attribute
JOIN pg_type AS type ON type.oid = attribute.atttypid
LEFT JOIN pg_type AS base ON base.oid = type.typbasetype AND type.typtype = 'd'
WHERE attribute.attrelid = to_regclass($1)
  AND attribute.attnum > 0
  AND NOT attribute.attisdropped";

/// The keys that hold for each row of the table named in $1, each as the names of its columns.
/// Locks: none but those of a read. Index: `pg_index_indrelid_index`.
const UNIQUE_KEYS: &str = "\
SELECT ARRAY(
           SELECT attribute.attname::text
           FROM unnest(index.indkey::int2[]) WITH ORDINALITY AS key (number, position)
           JOIN pg_attribute AS attribute
               ON attribute.attrelid = index.indrelid AND attribute.attnum = key.number
           WHERE key.position <= index.indnkeyatts
           ORDER BY key.position
       ) AS columns
FROM pg_index AS index
WHERE index.indrelid = to_regclass($1)
  AND index.indisunique AND index.indisvalid
  AND index.indpred IS NULL AND index.indexprs IS NULL";

/// A table that was found to be as it was said.
#[derive(Debug)]
pub(crate) struct BoundTable {
    /// Its quoted name, with the schema.
    pub(super) sql: String,
    pub(super) id: Column,
    pub(super) id_kind: IdKind,
    /// None where every tenant sees every row.
    pub(super) tenant: Option<Column>,
    /// The fields, with keys from -1 downwards, and the column of each.
    pub(super) fields: Vec<Field>,
    pub(super) columns: Vec<Column>,
    pub(super) created_at: Option<Column>,
    pub(super) updated_at: Option<Column>,
    pub(super) archived_at: Option<Column>,
    pub(super) version: Option<Column>,
}

/// What the catalog has of a table.
struct Found {
    /// Its name for errors.
    name: String,
    columns: BTreeMap<String, Column>,
    unique_keys: Vec<Vec<String>>,
}

/// Looks the table up and holds it against what was said of it. Two queries.
pub(super) async fn look_up(
    register: &BoundRegister,
    db: &Db,
    tenant: Uuid,
    types: &TypeRegistry,
) -> Result<BoundTable, BoundError> {
    let name = format!("{}.{}", register.schema, register.table);
    if register.tenancy.is_none() {
        return Err(BoundError::TenantUnstated { table: name });
    }
    let kinds = check_definitions(&name, &register.columns, types)?;
    let sql = quote_identifier(&register.schema)
        .and_then(|schema| Ok(format!("{schema}.{}", quote_identifier(&register.table)?)))
        .map_err(|source| BoundError::Db {
            table: name.clone(),
            source: Box::new(source),
        })?;
    let found = read_catalog(db, tenant, &name, &sql).await?;
    if found.columns.is_empty() {
        return Err(BoundError::NoTable { table: name });
    }
    check_table(register, &found, &kinds, sql)
}

async fn read_catalog(db: &Db, tenant: Uuid, name: &str, sql: &str) -> Result<Found, BoundError> {
    let read = db
        .for_org(tenant)
        .read_only()
        .transaction(async |tx| -> Result<_, DbError> {
            let columns = sqlx::query(COLUMNS).bind(sql);
            let columns = columns.fetch_all(tx.connection()).await?;
            let keys = sqlx::query_scalar(UNIQUE_KEYS).bind(sql);
            let unique_keys: Vec<Vec<String>> = keys.fetch_all(tx.connection()).await?;
            let columns = columns.iter().map(read_column);
            let columns: BTreeMap<String, Column> = columns.collect::<Result<_, DbError>>()?;
            Ok((columns, unique_keys))
        });
    match read.await {
        Ok((columns, unique_keys)) => Ok(Found {
            name: name.to_owned(),
            columns,
            unique_keys,
        }),
        Err(source) => Err(BoundError::Db {
            table: name.to_owned(),
            source: Box::new(source),
        }),
    }
}

fn read_column(row: &sqlx::postgres::PgRow) -> Result<(String, Column), DbError> {
    let name: String = row.try_get("name")?;
    let column = Column {
        sql: format!("{ALIAS}.{}", quote_identifier(&name)?),
        type_name: row.try_get("type_name")?,
        is_enum: row.try_get("is_enum")?,
        is_not_null: row.try_get("is_not_null")?,
    };
    Ok((name, column))
}

/// What can be said without the database: the kinds of the fields, in their order.
fn check_definitions(
    table: &str,
    columns: &[(String, FieldDefinition)],
    types: &TypeRegistry,
) -> Result<Vec<ValueKind>, BoundError> {
    let table = || table.to_owned();
    if !(1..=FIELDS_MAX).contains(&columns.len()) {
        return Err(BoundError::FieldCount {
            table: table(),
            count: columns.len(),
            max: FIELDS_MAX,
        });
    }
    let mut names = BTreeSet::new();
    let mut kinds = Vec::with_capacity(columns.len());
    for (_, definition) in columns {
        let field = || definition.name.clone();
        definition
            .check(types)
            .map_err(|source| BoundError::Definition {
                table: table(),
                field: field(),
                source: Box::new(source),
            })?;
        if !names.insert(definition.name.as_str()) {
            return Err(BoundError::FieldTwice {
                table: table(),
                field: field(),
            });
        }
        let options = [
            (definition.unique, "unique"),
            (definition.indexed, "indexed"),
            (definition.default.is_some(), "given a default"),
        ];
        if let Some((_, option)) = options.into_iter().find(|(is_set, _)| *is_set) {
            return Err(BoundError::FieldOption {
                table: table(),
                field: field(),
                option,
            });
        }
        let field_type = &definition.field_type;
        let is_own = !field_type.is_read_only() && !field_type.is_reference();
        match definition.kind(types).filter(|_| is_own) {
            Some(kind) => kinds.push(kind),
            None => {
                return Err(BoundError::FieldType {
                    table: table(),
                    field: field(),
                    type_name: field_type.name(),
                });
            }
        }
    }
    Ok(kinds)
}

fn check_table(
    register: &BoundRegister,
    found: &Found,
    kinds: &[ValueKind],
    sql: String,
) -> Result<BoundTable, BoundError> {
    let id = found.column(&register.id)?;
    let id_kind = IdKind::of(&id)
        .ok_or_else(|| found.misfit(&register.id, &id, "an id, which is a uuid or an integer"))?;
    let tenant_name = match &register.tenancy {
        Some(Tenancy::Column(name)) => Some(name.as_str()),
        Some(Tenancy::Shared) | None => None,
    };
    let tenant = tenant_name
        .map(|name| found.typed(name, &["uuid"], "a tenant, which is a uuid"))
        .transpose()?;
    if !id.is_not_null || !found.is_unique(&register.id, tenant_name) {
        return Err(BoundError::IdNotUnique {
            table: found.name.clone(),
            column: register.id.clone(),
        });
    }
    let mut fields = Vec::with_capacity(kinds.len());
    let mut columns = Vec::with_capacity(kinds.len());
    for (key, ((name, definition), kind)) in (1..).zip(register.columns.iter().zip(kinds)) {
        let column = found.column(name)?;
        if !column.fits(*kind) {
            return Err(found.misfit(name, &column, wanted(*kind)));
        }
        fields.push(foreign_field(FieldKey(-key), definition.clone(), *kind));
        columns.push(column);
    }
    let instant = |name: &Option<String>| {
        let found = name
            .as_deref()
            .map(|name| found.typed(name, &["timestamptz"], "an instant"));
        found.transpose()
    };
    let integers: &[&str] = &["int2", "int4", "int8"];
    let version = register.version.as_deref();
    Ok(BoundTable {
        sql,
        id,
        id_kind,
        tenant,
        fields,
        columns,
        created_at: instant(&register.created_at)?,
        updated_at: instant(&register.updated_at)?,
        archived_at: instant(&register.archived_at)?,
        version: version
            .map(|name| found.typed(name, integers, "a version, which is an integer"))
            .transpose()?,
    })
}

impl Found {
    fn column(&self, name: &str) -> Result<Column, BoundError> {
        let column = self.columns.get(name).cloned();
        column.ok_or_else(|| BoundError::NoColumn {
            table: self.name.clone(),
            column: name.to_owned(),
        })
    }

    fn typed(
        &self,
        name: &str,
        type_names: &[&str],
        wanted: &'static str,
    ) -> Result<Column, BoundError> {
        let column = self.column(name)?;
        if type_names.contains(&column.type_name.as_str()) {
            return Ok(column);
        }
        Err(self.misfit(name, &column, wanted))
    }

    fn misfit(&self, name: &str, column: &Column, wanted: &'static str) -> BoundError {
        BoundError::Misfit {
            table: self.name.clone(),
            column: name.to_owned(),
            sql_type: column.type_name.clone(),
            wanted,
        }
    }

    /// Whether the id tells the rows of one tenant apart: some key is of it alone, or of it and the
    /// tenant.
    fn is_unique(&self, id: &str, tenant: Option<&str>) -> bool {
        self.unique_keys.iter().any(|key| {
            let has_id = key.iter().any(|name| name == id);
            let others = key.iter().filter(|name| *name != id);
            has_id && others.into_iter().all(|name| Some(name.as_str()) == tenant)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found() -> Found {
        let column = |name: &str, type_name: &str| {
            let column = Column {
                sql: format!("bound.\"{name}\""),
                type_name: type_name.to_owned(),
                is_enum: false,
                is_not_null: true,
            };
            (name.to_owned(), column)
        };
        Found {
            name: "shop.client".to_owned(),
            columns: BTreeMap::from([
                column("id", "uuid"),
                column("org_id", "uuid"),
                column("name", "text"),
                column("rate", "float8"),
            ]),
            unique_keys: vec![vec!["org_id".to_owned(), "id".to_owned()]],
        }
    }

    fn check(register: &BoundRegister) -> Result<BoundTable, BoundError> {
        let kinds = check_definitions("shop.client", &register.columns, &TypeRegistry::default())?;
        check_table(register, &found(), &kinds, "shop.client".to_owned())
    }

    fn client() -> BoundRegister {
        BoundRegister::table("shop", "client").tenant_column("org_id")
    }

    #[test]
    fn a_table_that_fits_gives_fields_with_keys_of_their_own() {
        let register = client().column("name", FieldDefinition::text("label"));
        let table = check(&register).unwrap();
        assert_eq!(table.fields[0].key, FieldKey(-1));
        assert_eq!(table.columns[0].sql, "bound.\"name\"");
    }

    #[test]
    fn an_id_that_is_unique_within_a_tenant_is_not_unique_for_all() {
        let shared = BoundRegister::table("shop", "client")
            .shared_by_all_tenants()
            .column("name", FieldDefinition::text("label"));
        assert!(matches!(
            check(&shared),
            Err(BoundError::IdNotUnique { .. })
        ));
    }

    #[test]
    fn what_does_not_fit_is_named() {
        let inexact = client().column("rate", FieldDefinition::decimal("rate"));
        assert!(matches!(
            check(&inexact),
            Err(BoundError::Misfit { column, .. }) if column == "rate"
        ));
        let absent = client().column("nmae", FieldDefinition::text("label"));
        assert!(matches!(
            check(&absent),
            Err(BoundError::NoColumn { column, .. }) if column == "nmae"
        ));
        let unique = client().column("name", FieldDefinition::text("label").unique());
        assert!(matches!(
            check(&unique),
            Err(BoundError::FieldOption { .. })
        ));
        let computed = client().column("name", FieldDefinition::formula("label", "1 + 1"));
        assert!(matches!(
            check(&computed),
            Err(BoundError::FieldType { .. })
        ));
        assert!(matches!(
            check(&client()),
            Err(BoundError::FieldCount { .. })
        ));
    }
}
