// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! Models to test with, and a database that has their tables.

use std::fmt;
use std::str::FromStr;

use forktex_db::{
    CipherError, CipherErrorKind, ColumnCipher, Db, DbOptions, Model, Place, create_table, sqlx,
};
use serde::{Deserialize, Serialize};
use sqlx::{AssertSqlSafe, Executor};
use time::OffsetDateTime;
use uuid::Uuid;

use crate::setup::{Database, options};

/// Has every mixin but the organisation.
#[derive(Model, Clone, Debug, PartialEq)]
#[model(table = "app.user", timestamps, audit, soft_delete, versioned)]
#[model(unique(email), new_derives(Clone, Debug))]
pub(crate) struct User {
    pub(crate) id: Uuid,
    pub(crate) email: String,
    pub(crate) age: Option<i32>,
    #[model(text)]
    pub(crate) role: Role,
    #[model(text)]
    pub(crate) former_role: Option<Role>,
    #[model(json)]
    pub(crate) settings: Settings,
    #[model(column = "odd \"name\"")]
    pub(crate) odd: Option<f64>,
    pub(crate) created_at: OffsetDateTime,
    pub(crate) updated_at: OffsetDateTime,
    pub(crate) created_by: Option<Uuid>,
    pub(crate) updated_by: Option<Uuid>,
    pub(crate) archived_at: Option<OffsetDateTime>,
    pub(crate) version: i64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    Member,
    Admin,
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Member => "member",
            Self::Admin => "admin",
        })
    }
}

impl FromStr for Role {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "member" => Ok(Self::Member),
            "admin" => Ok(Self::Admin),
            other => Err(format!("there is no role {other}")),
        }
    }
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Settings {
    pub(crate) theme: String,
    pub(crate) tags: Vec<String>,
}

impl NewUser {
    pub(crate) fn named(name: &str) -> Self {
        Self {
            email: format!("{name}@example.com"),
            age: None,
            role: Role::Member,
            former_role: None,
            settings: Settings::default(),
            odd: None,
        }
    }
}

#[derive(Model, Clone, Debug, PartialEq)]
#[model(table = "app.client", org_scoped, row_security)]
pub(crate) struct Client {
    pub(crate) id: Uuid,
    pub(crate) org_id: Uuid,
    pub(crate) name: String,
}

/// Belongs to an organisation, and has secrets.
#[derive(Model, Clone, Debug, PartialEq)]
#[model(
    table = "app.invoice",
    org_scoped,
    soft_delete,
    versioned,
    unique(number),
    row_security
)]
pub(crate) struct Invoice {
    pub(crate) id: Uuid,
    pub(crate) org_id: Uuid,
    pub(crate) number: String,
    #[model(references = Client)]
    pub(crate) client_id: Option<Uuid>,
    #[model(encrypted)]
    pub(crate) iban: Option<String>,
    pub(crate) archived_at: Option<OffsetDateTime>,
    pub(crate) version: i64,
}

impl NewInvoice {
    pub(crate) fn numbered(number: impl fmt::Display) -> Self {
        Self {
            number: number.to_string(),
            client_id: None,
            iban: None,
        }
    }
}

/// A cipher whose secret is that there is none: the place and the value, readable. Whether a value was
/// sealed, and for which place, is all that the tests here ask.
#[derive(Debug)]
pub(crate) struct Labels;

impl ColumnCipher for Labels {
    fn seal(&self, place: &Place<'_>, plaintext: &[u8]) -> Result<Vec<u8>, CipherError> {
        let mut sealed = format!("{place:?}|").into_bytes();
        sealed.extend_from_slice(plaintext);
        Ok(sealed)
    }

    fn open(&self, place: &Place<'_>, sealed: &[u8]) -> Result<Vec<u8>, CipherError> {
        let label = format!("{place:?}|").into_bytes();
        sealed
            .strip_prefix(&label[..])
            .map(<[u8]>::to_vec)
            .ok_or_else(|| {
                CipherError::new(CipherErrorKind::TamperedOrMoved, "it belongs elsewhere")
            })
    }
}

/// The tables of the models, and two pools: as the owner, and as the role that an application has.
pub(crate) struct Models {
    /// Not through the pooler.
    pub(crate) owner: Db,
    pub(crate) db: Db,
    pub(crate) database: Database,
}

impl Models {
    pub(crate) async fn create() -> Self {
        Self::with(options().max_connections(4)).await
    }

    pub(crate) async fn with(with: DbOptions) -> Self {
        let database = Database::create().await;
        let owner = database.observer().await;
        let tables = [
            create_table::<User>(),
            create_table::<Client>(),
            create_table::<Invoice>(),
        ];
        let role = url::Url::parse(database.url())
            .unwrap()
            .username()
            .to_owned();
        let sql = format!(
            "CREATE SCHEMA app; {} GRANT USAGE ON SCHEMA app TO \"{role}\"; \
             GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA app TO \"{role}\"",
            tables.concat()
        );
        owner.pool().execute(AssertSqlSafe(sql)).await.unwrap();
        let db = Db::connect(database.url(), with.cipher(Labels))
            .await
            .unwrap();
        Self {
            owner,
            db,
            database,
        }
    }
}
