// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! What the rows share: the settings of a run, a server, and a database with the schema of registers.

use std::error::Error;
use std::time::Instant;

use forktex_data::Data;
use forktex_db::{Db, DbOptions};
use forktex_testkit::figure::Output;
use forktex_testkit::{Postgres, PostgresOptions, TestDatabase};

/// How many connections a side has.
const CONNECTIONS: u32 = 8;

/// What was asked for.
#[derive(Clone, Copy)]
pub(crate) struct Bench {
    pub(crate) output: Output,
    /// Small sizes and one round.
    pub(crate) is_quick: bool,
    pub(crate) rounds: Option<usize>,
    pub(crate) records: Option<usize>,
}

impl Default for Bench {
    fn default() -> Self {
        Self {
            output: Output::Table,
            is_quick: false,
            rounds: None,
            records: None,
        }
    }
}

impl Bench {
    pub(crate) fn with_default_rounds(&self, rounds: usize) -> Self {
        let rounds = if self.is_quick { 1 } else { rounds };
        Self {
            rounds: self.rounds.or(Some(rounds)),
            ..*self
        }
    }

    /// The numbers of the rounds.
    pub(crate) fn rounds(&self) -> std::ops::RangeInclusive<usize> {
        1..=self.rounds.unwrap_or(1)
    }

    /// Tells people how far it is.
    pub(crate) fn progress(&self, bench: &str, round: usize, what: &str) {
        let rounds = self.rounds.unwrap_or(1);
        eprintln!("{bench}: round {round} of {rounds}: {what}");
    }

    /// How many rows: as many as were asked for, the real number, or that of a quick look.
    pub(crate) fn records(&self, real: usize, quick: usize) -> usize {
        self.records.unwrap_or(self.size(real, quick))
    }

    /// A size that nobody asks for by itself.
    pub(crate) fn size(&self, real: usize, quick: usize) -> usize {
        if self.is_quick { quick } else { real }
    }
}

/// A database with registers, as the application, its owner and the administrator see it.
pub(crate) struct Place {
    pub(crate) data: Data,
    /// As services connect: bound by row-level security.
    pub(crate) db: Db,
    pub(crate) owner: Db,
    /// Past row-level security, to fill tables and to look.
    pub(crate) administrator: Db,
    database: TestDatabase,
}

impl Place {
    pub(crate) async fn create(server: &Postgres) -> Result<Self, Box<dyn Error>> {
        let database = server.create_database().await?;
        let options = || DbOptions::new().max_connections(CONNECTIONS);
        let owner = Db::connect(database.owner_url(), options()).await?;
        Data::new(&owner).migrate().await?;
        let db = Db::connect(database.url(), options()).await?;
        Ok(Self {
            data: Data::new(&db),
            db,
            owner,
            administrator: Db::connect(database.superuser_url(), options()).await?,
            database,
        })
    }

    /// As services connect.
    pub(crate) fn url(&self) -> &str {
        self.database.url()
    }

    /// As the server's administrator connects.
    pub(crate) fn administrator_url(&self) -> &str {
        self.database.superuser_url()
    }

    /// As tables are some time after they were filled.
    pub(crate) async fn settle(&self) -> Result<(), Box<dyn Error>> {
        use forktex_db::sqlx::Executor as _;
        let statement = "VACUUM ANALYZE";
        self.administrator.pool().execute(statement).await?;
        Ok(())
    }
}

/// A server with durability on, on which no checkpoint falls into a round.
pub(crate) async fn postgres() -> Result<Postgres, Box<dyn Error>> {
    let options = PostgresOptions::new()
        .durable()
        .setting("max_wal_size", "16GB")
        .setting("shared_buffers", "1GB")
        .setting("checkpoint_timeout", "1h");
    Ok(Postgres::start(options).await?)
}

/// Milliseconds since then, by each of so many.
#[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
pub(crate) fn milliseconds_each(began_at: Instant, count: usize) -> f64 {
    began_at.elapsed().as_secs_f64() * 1_000.0 / count as f64
}

/// So many a second since then.
#[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
pub(crate) fn rate(began_at: Instant, count: usize) -> f64 {
    count as f64 / began_at.elapsed().as_secs_f64()
}
