// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! Looks at the tables and the server from outside, on a connection of the superuser.

use std::error::Error;
use std::fmt;
use std::time::{Duration, Instant};

use forktex_db::sqlx::{self, Connection, PgConnection, Row};
use forktex_flow::InstanceId;
use forktex_testkit::TestDatabase;
use serde::Serialize;
use uuid::Uuid;

use crate::report::{Note, Report};

/// The connection that looks.
pub(crate) struct Probe(PgConnection);

/// The place of the server in its log, and what was written to get there.
#[derive(Clone, Copy)]
pub(crate) struct WalPlace {
    bytes: f64,
    checkpoint: f64,
}

/// How large a table is.
#[derive(Serialize)]
struct TableSize {
    table: String,
    table_bytes: i64,
    index_bytes: i64,
    dead_rows: i64,
}

impl fmt::Display for TableSize {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            formatter,
            "{} {:.1} MiB and {:.1} of indexes, {} dead",
            self.table,
            mebibytes(self.table_bytes),
            mebibytes(self.index_bytes),
            self.dead_rows
        )
    }
}

impl Probe {
    pub(crate) async fn of(database: &TestDatabase) -> Result<Self, Box<dyn Error>> {
        Self::at(database.superuser_url()).await
    }

    pub(crate) async fn at(url: &str) -> Result<Self, Box<dyn Error>> {
        Ok(Self(PgConnection::connect(url).await?))
    }

    /// Executes statements that give nothing.
    pub(crate) async fn run(&mut self, sql: &'static str) -> Result<(), Box<dyn Error>> {
        sqlx::raw_sql(sql).execute(&mut self.0).await?;
        Ok(())
    }

    pub(crate) async fn number(&mut self, sql: &'static str) -> Result<i64, Box<dyn Error>> {
        Ok(sqlx::query_scalar(sql).fetch_one(&mut self.0).await?)
    }

    pub(crate) async fn is(&mut self, sql: &'static str) -> Result<bool, Box<dyn Error>> {
        Ok(sqlx::query_scalar(sql).fetch_one(&mut self.0).await?)
    }

    pub(crate) async fn texts(
        &mut self,
        sql: &'static str,
    ) -> Result<Vec<(String, i64)>, Box<dyn Error>> {
        Ok(sqlx::query_as(sql).fetch_all(&mut self.0).await?)
    }

    /// Waits until no run lives, looking without a pause: the end of a measurement.
    pub(crate) async fn until_none_lives(&mut self, limit: Duration) -> Result<(), Box<dyn Error>> {
        let deadline = Instant::now() + limit;
        while self
            .is("SELECT EXISTS (SELECT FROM forktex_flow.active)")
            .await?
        {
            if Instant::now() > deadline {
                return Err(format!("runs still live after {limit:?}").into());
            }
        }
        Ok(())
    }

    /// How many runs of all that there are have completed.
    pub(crate) async fn completed(&mut self) -> Result<usize, Box<dyn Error>> {
        let completed = self
            .number("SELECT count(*) FROM forktex_flow.instance WHERE status = 'completed'")
            .await?;
        Ok(usize::try_from(completed)?)
    }

    /// Refuses a measurement of which not each run completed.
    pub(crate) async fn expect_completed(&mut self, runs: usize) -> Result<(), Box<dyn Error>> {
        let completed = self.completed().await?;
        if completed == runs {
            return Ok(());
        }
        Err(format!("{completed} of {runs} runs completed").into())
    }

    /// The newest run that was created before another.
    pub(crate) async fn newest_before(
        &mut self,
        run: InstanceId,
    ) -> Result<InstanceId, Box<dyn Error>> {
        let id = sqlx::query_scalar(
            "SELECT instance_id FROM forktex_flow.instance
             WHERE instance_id < $1 ORDER BY instance_id DESC LIMIT 1",
        );
        Ok(InstanceId(id.bind(run.0).fetch_one(&mut self.0).await?))
    }

    /// The worker, where there is one.
    pub(crate) async fn only_worker(&mut self) -> Result<Uuid, Box<dyn Error>> {
        let workers: Vec<Uuid> = sqlx::query_scalar("SELECT worker_id FROM forktex_flow.worker")
            .fetch_all(&mut self.0)
            .await?;
        match workers[..] {
            [worker] => Ok(worker),
            _ => Err(format!("{} workers where there should be one", workers.len()).into()),
        }
    }

    /// How many runs a worker owns.
    pub(crate) async fn owned_by(&mut self, worker: Uuid) -> Result<i64, Box<dyn Error>> {
        let owned =
            sqlx::query_scalar("SELECT count(*) FROM forktex_flow.active WHERE worker_id = $1");
        Ok(owned.bind(worker).fetch_one(&mut self.0).await?)
    }

    /// Whether a worker owns runs: cheaper than how many.
    pub(crate) async fn owns_any(&mut self, worker: Uuid) -> Result<bool, Box<dyn Error>> {
        let owns = sqlx::query_scalar(
            "SELECT EXISTS (SELECT FROM forktex_flow.active WHERE worker_id = $1)",
        );
        Ok(owns.bind(worker).fetch_one(&mut self.0).await?)
    }

    /// Waits for the end of a worker's lease, by the database's clock.
    pub(crate) async fn until_lease_ended(
        &mut self,
        worker: Uuid,
        limit: Duration,
    ) -> Result<(), Box<dyn Error>> {
        let seconds_left: f64 = sqlx::query_scalar(
            "SELECT extract(epoch FROM lease_until - clock_timestamp())::double precision
             FROM forktex_flow.worker WHERE worker_id = $1",
        )
        .bind(worker)
        .fetch_one(&mut self.0)
        .await?;
        let left = Duration::try_from_secs_f64(seconds_left)
            .map_err(|_| "the lease was over before the worker was killed")?;
        if left > limit {
            return Err(format!("the lease lasts {left:?} more").into());
        }
        tokio::time::sleep(left).await;
        Ok(())
    }

    /// The rows of `active` that are dead and not removed yet.
    pub(crate) async fn dead_rows_of_active(&mut self) -> Result<i64, Box<dyn Error>> {
        self.number(
            "SELECT n_dead_tup FROM pg_stat_user_tables
             WHERE schemaname = 'forktex_flow' AND relname = 'active'",
        )
        .await
    }

    pub(crate) async fn wal_place(&mut self) -> Result<WalPlace, Box<dyn Error>> {
        let (bytes, checkpoint) = sqlx::query_as(
            "SELECT (pg_current_wal_insert_lsn() - '0/0')::double precision,
                    (redo_lsn - '0/0')::double precision
             FROM pg_control_checkpoint()",
        )
        .fetch_one(&mut self.0)
        .await?;
        Ok(WalPlace { bytes, checkpoint })
    }

    /// Notes the sizes of the engine's large tables, beside a value that was measured then.
    pub(crate) async fn note_sizes(
        &mut self,
        report: &mut Report,
        bench: &'static str,
        when: &str,
        (value, unit): (f64, &'static str),
    ) -> Result<(), Box<dyn Error>> {
        let sizes = self.sizes().await?;
        let words: Vec<String> = sizes.iter().map(TableSize::to_string).collect();
        report.notes.push(Note {
            bench,
            what: format!("{when}: {}", words.join("; ")),
            value,
            unit,
            details: serde_json::to_value(sizes)?,
        });
        Ok(())
    }

    async fn sizes(&mut self) -> Result<Vec<TableSize>, Box<dyn Error>> {
        let rows = sqlx::query(
            "SELECT relname::text, pg_table_size(relid), pg_indexes_size(relid), n_dead_tup
             FROM pg_stat_user_tables
             WHERE schemaname = 'forktex_flow' AND relname IN ('active', 'instance', 'journal')
             ORDER BY relname",
        )
        .fetch_all(&mut self.0)
        .await?;
        let sizes = rows.iter().map(|row| {
            Ok(TableSize {
                table: row.try_get(0)?,
                table_bytes: row.try_get(1)?,
                index_bytes: row.try_get(2)?,
                dead_rows: row.try_get(3)?,
            })
        });
        Ok(sizes.collect::<Result<_, sqlx::Error>>()?)
    }
}

impl WalPlace {
    /// The bytes of log from an earlier place to this one. No checkpoint may lie between: it would have
    /// whole pages written that belong to no step.
    pub(crate) fn since(self, earlier: Self) -> Result<f64, Box<dyn Error>> {
        if self.checkpoint > earlier.checkpoint {
            return Err("a checkpoint fell into the measurement".into());
        }
        Ok(self.bytes - earlier.bytes)
    }

    /// The bytes of log, whatever is in them.
    pub(crate) fn all_since(self, earlier: Self) -> f64 {
        self.bytes - earlier.bytes
    }
}

#[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
fn mebibytes(bytes: i64) -> f64 {
    bytes as f64 / f64::from(1 << 20)
}
