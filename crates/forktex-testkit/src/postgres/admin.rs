// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! What the test kit does as a server's administrator: roles, databases, and nothing else.

use std::str::FromStr as _;
use std::time::Duration;

use sqlx::postgres::PgConnectOptions;
use sqlx::{AssertSqlSafe, ConnectOptions as _, Connection as _, PgConnection};
use tokio::sync::OnceCell;

use crate::TestkitError;
use crate::database::name::is_stale;
use crate::url::UrlParts;

/// The role that owns nothing.
pub(crate) const APPLICATION_ROLE: &str = "forktex_test_application";
/// The role that owns each test database.
pub(crate) const OWNER_ROLE: &str = "forktex_test_owner";
/// Of both roles. They reach test databases only.
pub(crate) const ROLE_PASSWORD: &str = "forktex_test";

const STATEMENT_LIMIT: Duration = Duration::from_mins(1);

const CREATE_ROLES: &str = include_str!("sql/create_roles.sql");
const DATABASE_NAMES: &str = "SELECT datname FROM pg_catalog.pg_database";
const PREPARE_DATABASE: &str = include_str!("sql/prepare_database.sql");

/// The administrator of one server. It holds no connection: those belong to a runtime, and each
/// test has its own.
#[derive(Debug)]
pub(crate) struct Admin {
    url: UrlParts,
    ready: OnceCell<()>,
    /// Whether the server outlives us, so that dead processes may have left databases on it.
    outlives_us: bool,
}

impl Admin {
    pub(crate) fn of_private_server(url: &str) -> Result<Self, TestkitError> {
        Self::new(url, "the server's URL", false)
    }

    pub(crate) fn of_running_server(
        url: &str,
        variable: &'static str,
    ) -> Result<Self, TestkitError> {
        Self::new(url, variable, true)
    }

    fn new(url: &str, origin: &'static str, outlives_us: bool) -> Result<Self, TestkitError> {
        PgConnectOptions::from_str(url).map_err(|error| TestkitError::InvalidUrl {
            variable: origin,
            source: Box::new(error),
        })?;
        let url = UrlParts::parse(url, origin)?;
        Ok(Self {
            url,
            ready: OnceCell::new(),
            outlives_us,
        })
    }

    /// The administrator's URL of a database.
    pub(crate) fn url(&self, database: &str) -> String {
        self.url.clone().with_path(database).to_string()
    }

    /// The URL of a database for one of our roles.
    pub(crate) fn role_url(&self, database: &str, role: &str) -> String {
        self.url
            .clone()
            .with_user(role, ROLE_PASSWORD)
            .with_path(database)
            .to_string()
    }

    /// Creates an empty database that [`OWNER_ROLE`] owns and [`APPLICATION_ROLE`] may use.
    pub(crate) async fn create_database(&self, name: &str) -> Result<(), TestkitError> {
        self.ready.get_or_try_init(|| self.make_ready()).await?;
        // From template0, to which nobody can be connected: a copy of another may have to wait.
        let create = format!("CREATE DATABASE {name} OWNER {OWNER_ROLE} TEMPLATE template0");
        self.run(&self.url.to_string(), "create database", name, create)
            .await?;
        let prepared = self
            .run(
                &self.url(name),
                "prepare database",
                name,
                PREPARE_DATABASE.to_owned(),
            )
            .await;
        if prepared.is_err() {
            // The first error is the one to tell.
            let _ = self.drop_database(name).await;
        }
        prepared
    }

    /// Drops a database, ending its sessions.
    pub(crate) async fn drop_database(&self, name: &str) -> Result<(), TestkitError> {
        let drop = format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)");
        self.run(&self.url.to_string(), "drop database", name, drop)
            .await
    }

    /// Waits until the server takes a connection.
    #[cfg(feature = "containers")]
    pub(crate) async fn await_connection(&self) -> Result<(), TestkitError> {
        let deadline = tokio::time::Instant::now() + STATEMENT_LIMIT;
        let url = self.url.to_string();
        loop {
            match connect(&url).await {
                Ok(connection) => {
                    let closed = connection.close().await;
                    return closed.map_err(TestkitError::sql("disconnect from", "the server"));
                }
                Err(error) if tokio::time::Instant::now() >= deadline => {
                    return Err(TestkitError::sql("connect to", "the server")(error));
                }
                Err(_) => tokio::time::sleep(crate::process::POLL_INTERVAL).await,
            }
        }
    }

    async fn make_ready(&self) -> Result<(), TestkitError> {
        let url = self.url.to_string();
        self.run(
            &url,
            "create roles on",
            "the server",
            CREATE_ROLES.to_owned(),
        )
        .await?;
        if self.outlives_us {
            self.drop_stale_databases().await?;
        }
        Ok(())
    }

    /// Drops what processes of this machine left behind when they were killed.
    async fn drop_stale_databases(&self) -> Result<(), TestkitError> {
        let work = async {
            let mut connection = connect(&self.url.to_string()).await?;
            sqlx::query_scalar::<_, String>(DATABASE_NAMES)
                .fetch_all(&mut connection)
                .await
        };
        let names = work
            .await
            .map_err(TestkitError::sql("list databases of", "the server"))?;
        for name in names.iter().filter(|name| is_stale(name)) {
            // Another process may sweep at the same time; whatever stays is for the next one.
            if let Err(error) = self.drop_database(name).await {
                tracing::debug!(%name, %error, "a stale test database was not dropped");
            }
        }
        Ok(())
    }

    /// Runs `sql`, which holds no text from outside but names made by us, and disconnects.
    async fn run(
        &self,
        url: &str,
        action: &'static str,
        subject: &str,
        sql: String,
    ) -> Result<(), TestkitError> {
        let work = async {
            let mut connection = connect(url).await?;
            sqlx::raw_sql(AssertSqlSafe(sql))
                .execute(&mut connection)
                .await?;
            connection.close().await
        };
        match tokio::time::timeout(STATEMENT_LIMIT, work).await {
            Ok(result) => result.map_err(TestkitError::sql(action, subject)),
            Err(_) => Err(TestkitError::Timeout {
                server: "Postgres",
                action,
                limit: STATEMENT_LIMIT,
                log_tail: String::new(),
            }),
        }
    }
}

/// One connection that logs nothing: what the kit does is no concern of the test.
pub(crate) async fn connect(url: &str) -> Result<PgConnection, sqlx::Error> {
    PgConnectOptions::from_str(url)?
        .disable_statement_logging()
        .connect()
        .await
}
