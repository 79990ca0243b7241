// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! One fresh database for one test, dropped with it.
//!
//! It has three roles, since tests of row security and of migrations are worth nothing as a
//! superuser. It runs no migrations: what is in it, the test puts there.

pub(crate) mod name;

use std::sync::Arc;
use std::sync::mpsc;
use std::time::Duration;

use crate::TestkitError;
use crate::postgres::admin::{APPLICATION_ROLE, Admin, OWNER_ROLE};
use crate::postgres::shared;

/// How long a drop waits for the server at most. The database goes away later or at the next
/// sweep then.
const DROP_LIMIT: Duration = Duration::from_secs(5);

/// An empty database, dropped when this value is.
///
/// Dropping blocks the thread for some 20 ms (5 s at most, with a server that does not answer);
/// sessions still in the database are ended. When the process is killed instead, the server that
/// the kit started goes with it; on a server named by `FORKTEX_TEST_POSTGRES_URL` the next process
/// on the same machine drops what is left.
#[derive(Debug)]
pub struct TestDatabase {
    name: String,
    application_url: String,
    owner_url: String,
    superuser_url: String,
    admin: Arc<Admin>,
}

impl TestDatabase {
    /// The role of [`url`](Self::url), for `GRANT` and `CREATE POLICY`.
    pub const APPLICATION_ROLE: &str = APPLICATION_ROLE;

    /// The role of [`owner_url`](Self::owner_url).
    pub const OWNER_ROLE: &str = OWNER_ROLE;

    /// Creates a database on the server that this process shares: the one that
    /// `FORKTEX_TEST_POSTGRES_URL` names, or else one that the first call starts from local
    /// binaries, or else, with the feature `containers`, one in a container.
    ///
    /// A server that the kit starts here is quick and not durable (see
    /// [`PostgresOptions`](crate::PostgresOptions)); it takes 300 connections in all.
    ///
    /// # Errors
    /// [`TestkitError::ServerMissing`] with the command that mends it, those of
    /// [`Postgres::start`](crate::Postgres::start), and [`TestkitError::Sql`].
    ///
    /// # Cancellation
    /// A server being started stays for the next call. A database being created may stay until the
    /// server ends.
    pub async fn create() -> Result<Self, TestkitError> {
        Self::create_on(shared::admin().await?).await
    }

    pub(crate) async fn create_on(admin: Arc<Admin>) -> Result<Self, TestkitError> {
        let name = name::fresh();
        admin.create_database(&name).await?;
        Ok(Self {
            application_url: admin.role_url(&name, APPLICATION_ROLE),
            owner_url: admin.role_url(&name, OWNER_ROLE),
            superuser_url: admin.url(&name),
            name,
            admin,
        })
    }

    /// The URL for the code under test. Its role owns nothing and bypasses no row security; it may
    /// read and write the tables, use the sequences and call the functions that the owner creates.
    pub fn url(&self) -> &str {
        &self.application_url
    }

    /// The URL of the database's owner, for migrations: no superuser, bound by row security where
    /// tables force it.
    pub fn owner_url(&self) -> &str {
        &self.owner_url
    }

    /// The URL of the server's administrator, to look behind the scenes.
    pub fn superuser_url(&self) -> &str {
        &self.superuser_url
    }

    /// The database's name, unique in the world.
    pub fn name(&self) -> &str {
        &self.name
    }
}

impl Drop for TestDatabase {
    fn drop(&mut self) {
        let (admin, name) = (Arc::clone(&self.admin), std::mem::take(&mut self.name));
        let (done, finished) = mpsc::channel();
        // A thread with a runtime of its own: the test's runtime may be ending, or absent.
        let spawned = std::thread::Builder::new()
            .name("database_dropper".to_owned())
            .spawn(move || {
                let runtime = tokio::runtime::Builder::new_current_thread()
                    .enable_all()
                    .build();
                if let Ok(runtime) = runtime
                    && let Err(error) = runtime.block_on(admin.drop_database(&name))
                {
                    tracing::debug!(%name, %error, "a test database was not dropped");
                }
                let _ = done.send(());
            });
        if spawned.is_ok() {
            let _ = finished.recv_timeout(DROP_LIMIT);
        }
    }
}
