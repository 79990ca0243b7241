// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! A database with the schema of registers, seen as a service sees it, and questions about its state.

use std::collections::BTreeMap;

use forktex_data::{
    Data, DataError, Draft, FieldDefinition, Filter, OnDelete, QueryResult, Register,
    RegisterDefinition, RelationshipDefinition, Row, RowQuery, TenantData,
};
use forktex_db::{Db, DbOptions, sqlx};
use forktex_testkit::TestDatabase;
use serde_json::Value as Json;
use sqlx::AssertSqlSafe;
use uuid::Uuid;

/// How many connections each side has.
const CONNECTIONS: u32 = 16;

/// Every table of the schema, but the one that counts migrations.
const TABLES: &str = "
    SELECT c.relname::text
      FROM pg_catalog.pg_class c
      JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
     WHERE n.nspname = 'forktex_data' AND c.relkind IN ('r', 'p')
       AND EXISTS (SELECT FROM pg_catalog.pg_attribute a
                    WHERE a.attrelid = c.oid AND a.attname = 'tenant_id')
     ORDER BY c.relname";

pub(crate) struct World {
    pub(crate) data: Data,
    /// As services connect: it owns nothing and is bound by row-level security.
    pub(crate) db: Db,
    /// Owns the tables, and is bound as well.
    pub(crate) owner: Db,
    /// Past row-level security, to look behind the scenes.
    pub(crate) administrator: Db,
    /// The tenant of most tests.
    pub(crate) org: Uuid,
    _database: TestDatabase,
}

impl World {
    pub(crate) async fn create() -> Self {
        let database = TestDatabase::create().await.unwrap();
        let connect = async |url: &str| {
            let options = DbOptions::new().max_connections(CONNECTIONS);
            Db::connect(url, options).await.unwrap()
        };
        let owner = connect(database.owner_url()).await;
        Data::new(&owner).migrate().await.unwrap();
        let db = connect(database.url()).await;
        Self {
            data: Data::new(&db),
            db,
            owner,
            administrator: connect(database.superuser_url()).await,
            org: Uuid::now_v7(),
            _database: database,
        }
    }

    pub(crate) fn tenant(&self) -> TenantData {
        self.data.tenant(self.org)
    }

    pub(crate) async fn register(&self, definition: RegisterDefinition) -> Register {
        self.tenant().create_register(definition).await.unwrap()
    }

    /// A register with these fields.
    pub(crate) async fn with_fields(
        &self,
        name: &str,
        fields: impl IntoIterator<Item = FieldDefinition>,
    ) -> Register {
        self.register(definition(name, fields)).await
    }

    /// The names of the tables that hold what belongs to tenants.
    pub(crate) async fn tables(&self) -> Vec<String> {
        sqlx::query_scalar(TABLES)
            .fetch_all(self.administrator.pool())
            .await
            .unwrap()
    }

    /// All that is stored of all tenants, as one text for each table.
    pub(crate) async fn snapshot(&self) -> BTreeMap<String, Option<String>> {
        let mut snapshot = BTreeMap::new();
        for table in self.tables().await {
            let statement = format!(
                "SELECT string_agg(t::text, E'\\n' ORDER BY t::text) FROM forktex_data.\"{table}\" t"
            );
            let text = sqlx::query_scalar(AssertSqlSafe(statement));
            let text = text.fetch_one(self.administrator.pool()).await.unwrap();
            snapshot.insert(table, text);
        }
        snapshot
    }

    /// What the administrator counts.
    pub(crate) async fn count(&self, statement: &str) -> i64 {
        sqlx::query_scalar(AssertSqlSafe(statement.to_owned()))
            .fetch_one(self.administrator.pool())
            .await
            .unwrap()
    }

    /// What the administrator changes behind the library's back.
    pub(crate) async fn execute(&self, statement: &str) {
        sqlx::raw_sql(AssertSqlSafe(statement.to_owned()))
            .execute(self.administrator.pool())
            .await
            .unwrap();
    }

    /// Builds what is to be built, and recomputes what is stale.
    pub(crate) async fn maintain(&self) {
        self.tenant().run_maintenance().await.unwrap();
    }

    /// Lets `source` refer to `target`, by a field of the relationship's name.
    pub(crate) async fn refer(
        &self,
        source: &Register,
        relationship: RelationshipDefinition,
    ) -> Register {
        let name = relationship.name.clone();
        let source = source.add_relationship(relationship).await.unwrap();
        source
            .add_field(FieldDefinition::reference(name))
            .await
            .unwrap()
    }
}

pub(crate) fn definition(
    name: &str,
    fields: impl IntoIterator<Item = FieldDefinition>,
) -> RegisterDefinition {
    let empty = RegisterDefinition::new(name);
    fields.into_iter().fold(empty, RegisterDefinition::field)
}

pub(crate) fn many_to_one(
    name: &str,
    target: &str,
    inverse: &str,
    on_delete: OnDelete,
) -> RelationshipDefinition {
    RelationshipDefinition::many_to_one(name, target)
        .inverse(inverse)
        .on_delete(on_delete)
}

/// The draft that a caller of the API sends.
pub(crate) fn draft(json: Json) -> Draft {
    Draft::try_from(json).unwrap()
}

/// A row as a caller of the API creates it.
pub(crate) async fn create(register: &Register, json: Json) -> Row {
    register.rows().create(draft(json)).await.unwrap()
}

/// The text of a field of each row, joined in the order of the rows.
pub(crate) fn texts(found: &QueryResult, field: &str) -> String {
    let text = |row: &Row| {
        row.get(field)
            .and_then(|value| value.as_str().map(str::to_owned))
    };
    found.rows.iter().filter_map(text).collect()
}

/// The names of the rows that match, sorted.
pub(crate) async fn matching(register: &Register, filter: Filter) -> Result<String, DataError> {
    let found = RowQuery::new(register).filter(filter).order_by("name");
    let found = found.scroll(100).await?;
    Ok(texts(&found, "name"))
}

/// The same, by a filter as callers of the API send it.
pub(crate) async fn matching_json(register: &Register, json: &Json) -> Result<String, DataError> {
    matching(register, Filter::from_json(json)?).await
}
