// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! The outer side of a measurement: a fresh database, a process for the work, and the server's own
//! counters before and after. What an engine claims to have done is looked for in its tables.

use std::process::Stdio;
use std::time::{Duration, Instant};

use forktex_db::sqlx::{self, Connection, PgConnection};
use forktex_testkit::{Postgres, PostgresOptions, TestDatabase};
use tokio::process::Command;

use crate::child::{Order, Report, Task};
use crate::contender::{Entry, Evidence, Outcome, STEPS, Settings};

/// How long one process may work.
const LIMIT: Duration = Duration::from_mins(3);

/// How long a server may take to notice that a client went away.
const GOODBYE: Duration = Duration::from_secs(10);

/// The least time that a throughput is measured over, and what is aimed at.
const SECONDS_MIN: f64 = 5.0;
const SECONDS_AIM: f64 = 6.5;

/// How often a measurement that was over too soon is made again.
const AGAIN_MAX: usize = 3;

/// The variable that says how many connections duroxide's pool has; there is no other way to say so.
const DUROXIDE_CONNECTIONS: &str = "DUROXIDE_PG_POOL_MAX";

/// Runs of the first, rough calibration.
const ROUGH_RUNS: u64 = 200;

/// An engine with its settings, and how many runs it does in a measurement.
pub(crate) struct Player {
    pub(crate) entry: Entry,
    pub(crate) settings: Settings,
    pub(crate) runs: Runs,
}

/// How many runs are done in a measurement of many.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Runs {
    /// So many, however long it takes.
    Fixed(u64),
    /// As many as fill the time; so many by the last measurement.
    Filling(u64),
}

impl Runs {
    pub(crate) fn count(self) -> u64 {
        let (Self::Fixed(count) | Self::Filling(count)) = self;
        count
    }
}

/// The server, and a connection that watches it.
pub(crate) struct Bench {
    server: Postgres,
    watcher: PgConnection,
}

/// Many runs at once.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Many {
    pub(crate) steps_per_second: f64,
    pub(crate) seconds: f64,
    /// What the server wrote, a step.
    pub(crate) written: Written,
}

/// One run after the other.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Alone {
    pub(crate) first_step_ms: f64,
    pub(crate) step_ms: f64,
}

/// What a database wrote, by the server's counters.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Written {
    pub(crate) transactions: f64,
    pub(crate) inserted: f64,
    pub(crate) updated: f64,
    pub(crate) deleted: f64,
    pub(crate) wal_bytes: f64,
}

impl Written {
    /// What came since `before`, a step.
    fn since(self, before: Self, steps: f64) -> Self {
        let each = |now: f64, before: f64| (now - before) / steps;
        Self {
            transactions: each(self.transactions, before.transactions),
            inserted: each(self.inserted, before.inserted),
            updated: each(self.updated, before.updated),
            deleted: each(self.deleted, before.deleted),
            wal_bytes: each(self.wal_bytes, before.wal_bytes),
        }
    }
}

impl Bench {
    /// Starts a private server that keeps what it was told: `fsync` and `synchronous_commit` are on.
    pub(crate) async fn start() -> Outcome<Self> {
        let options = PostgresOptions::new()
            .durable()
            .setting("max_connections", "200")
            .setting("max_wal_size", "8GB")
            .setting("shared_buffers", "512MB");
        let server = Postgres::start(options).await?;
        let mut watcher = PgConnection::connect(&server.url("postgres")).await?;
        for setting in ["fsync", "synchronous_commit"] {
            let value: String = sqlx::query_scalar("SELECT current_setting($1)")
                .bind(setting)
                .fetch_one(&mut watcher)
                .await?;
            if value != "on" {
                return Err(format!("the server has {setting} = {value}").into());
            }
        }
        Ok(Self { server, watcher })
    }

    /// The server's version.
    pub(crate) async fn version(&mut self) -> Outcome<String> {
        let sql = "SELECT current_setting('server_version')";
        Ok(sqlx::query_scalar(sql).fetch_one(&mut self.watcher).await?)
    }

    /// Finds how many runs a player needs for a measurement that is long enough.
    pub(crate) async fn calibrate(&mut self, player: &mut Player) -> Outcome<()> {
        if let Runs::Filling(runs) = &mut player.runs {
            *runs = ROUGH_RUNS;
            // The first is over too soon to be exact; the second takes a second or so.
            for seconds in [1.0, SECONDS_AIM] {
                let many = self.once(player).await?;
                player.runs = Runs::Filling(runs_in(seconds, many.steps_per_second));
            }
        }
        Ok(())
    }

    /// Measures many runs at once; again with more of them where it was over too soon.
    pub(crate) async fn many(&mut self, player: &mut Player) -> Outcome<Many> {
        let mut many = self.once(player).await?;
        for _ in 0..AGAIN_MAX {
            if many.seconds >= SECONDS_MIN || matches!(player.runs, Runs::Fixed(_)) {
                break;
            }
            player.runs = Runs::Filling(runs_in(SECONDS_AIM, many.steps_per_second));
            many = self.once(player).await?;
        }
        Ok(many)
    }

    #[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
    async fn once(&mut self, player: &Player) -> Outcome<Many> {
        let runs = player.runs.count();
        let database = self.laid(player).await?;
        let before = self.written(&database).await?;
        let report = child(player, &database, Task::Many { runs }).await?;
        let Report::Many { seconds, steps } = report else {
            return Err(format!("an odd report: {report:?}").into());
        };
        self.wait_for_goodbyes(&database).await?;
        let after = self.written(&database).await?;
        if steps < runs * STEPS {
            return Err(format!("{steps} steps ran, of {}", runs * STEPS).into());
        }
        evident(&database, player.entry.facts.evidence, runs).await?;
        let steps = (runs * STEPS) as f64;
        Ok(Many {
            steps_per_second: steps / seconds,
            seconds,
            written: after.since(before, steps),
        })
    }

    /// Measures one run after the other.
    pub(crate) async fn alone(&mut self, player: &Player) -> Outcome<Alone> {
        let database = self.laid(player).await?;
        let report = child(player, &database, Task::Alone).await?;
        let Report::Alone {
            runs,
            first_step_ms,
            step_ms,
        } = report
        else {
            return Err(format!("an odd report: {report:?}").into());
        };
        evident(&database, player.entry.facts.evidence, runs).await?;
        Ok(Alone {
            first_step_ms,
            step_ms,
        })
    }

    /// A fresh database with the engine's schema, and the server's pages written.
    async fn laid(&mut self, player: &Player) -> Outcome<TestDatabase> {
        let database = self.server.create_database().await?;
        child(player, &database, Task::Lay).await?;
        self.wait_for_goodbyes(&database).await?;
        sqlx::query("CHECKPOINT").execute(&mut self.watcher).await?;
        Ok(database)
    }

    /// A session adds its counts to the database's when it ends.
    async fn wait_for_goodbyes(&mut self, database: &TestDatabase) -> Outcome<()> {
        let began_at = Instant::now();
        loop {
            let clients: i64 = sqlx::query_scalar(
                "SELECT count(*) FROM pg_stat_activity \
                 WHERE datname = $1 AND backend_type = 'client backend'",
            )
            .bind(database.name())
            .fetch_one(&mut self.watcher)
            .await?;
            if clients == 0 {
                return Ok(());
            }
            if began_at.elapsed() > GOODBYE {
                return Err(format!("{clients} sessions outlive their process").into());
            }
        }
    }

    async fn written(&mut self, database: &TestDatabase) -> Outcome<Written> {
        let (transactions, inserted, updated, deleted, wal_bytes) = sqlx::query_as(
            "SELECT xact_commit::float8, tup_inserted::float8, tup_updated::float8, \
             tup_deleted::float8, (pg_current_wal_lsn() - '0/0')::float8 \
             FROM pg_stat_database WHERE datname = $1",
        )
        .bind(database.name())
        .fetch_one(&mut self.watcher)
        .await?;
        Ok(Written {
            transactions,
            inserted,
            updated,
            deleted,
            wal_bytes,
        })
    }
}

/// How many runs fill so many seconds.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    clippy::cast_sign_loss,
    reason = "a rate of work, far below 2^52 and never negative"
)]
fn runs_in(seconds: f64, steps_per_second: f64) -> u64 {
    (seconds * steps_per_second / STEPS as f64).ceil().max(1.0) as u64
}

/// Has a process of its own obey, and reads its report.
async fn child(player: &Player, database: &TestDatabase, task: Task) -> Outcome<Report> {
    let settings = player.settings;
    let order = Order {
        url: database.superuser_url().to_owned(),
        settings,
        task,
    };
    let mut command = Command::new(std::env::current_exe()?);
    command
        .args([
            "--obey",
            player.entry.facts.name,
            &serde_json::to_string(&order)?,
        ])
        .env(DUROXIDE_CONNECTIONS, settings.connections.to_string())
        .stdin(Stdio::null())
        .kill_on_drop(true);
    let done = tokio::time::timeout(LIMIT, command.output())
        .await
        .map_err(|_| format!("{task:?} took longer than {} s", LIMIT.as_secs()))??;
    let told = String::from_utf8_lossy(&done.stdout);
    if !done.status.success() {
        let complaint = String::from_utf8_lossy(&done.stderr);
        return Err(format!("{task:?}: {}", complaint.trim()).into());
    }
    let last = told.lines().last().unwrap_or_default();
    Ok(serde_json::from_str(last).map_err(|error| format!("{task:?}: {error} in `{last}`"))?)
}

/// Looks for the work in the engine's own tables.
async fn evident(database: &TestDatabase, evidence: Evidence, runs: u64) -> Outcome<()> {
    let mut reader = PgConnection::connect(database.superuser_url()).await?;
    match evidence {
        Evidence::Kept { sql, steps_a_run } => {
            let found: (i64, i64) = sqlx::query_as(sql).fetch_one(&mut reader).await?;
            kept(found, runs, steps_a_run)?;
        }
        Evidence::NothingLeft { sql } => {
            let left: i64 = sqlx::query_scalar(sql).fetch_one(&mut reader).await?;
            if left != 0 {
                return Err(format!("{left} jobs are left").into());
            }
        }
    }
    reader.close().await?;
    Ok(())
}

/// Whether the runs and steps found are those that were asked for.
fn kept((runs_found, steps_found): (i64, i64), runs: u64, steps_a_run: u64) -> Outcome<()> {
    if (u64::try_from(runs_found)?, u64::try_from(steps_found)?) == (runs, runs * steps_a_run) {
        return Ok(());
    }
    Err(format!(
        "its tables have {runs_found} completed runs and {steps_found} steps, not {runs} and {}",
        runs * steps_a_run
    )
    .into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_or_a_step_that_is_missing_or_too_many_is_found() {
        assert!(kept((3, 30), 3, 10).is_ok());
        for found in [(2, 30), (4, 30), (3, 29), (3, 31), (-3, 30)] {
            assert!(kept(found, 3, 10).is_err(), "{found:?}");
        }
    }

    #[test]
    fn runs_are_chosen_by_the_rate() {
        assert_eq!(runs_in(6.0, 4_000.0), 2_400);
        assert_eq!(runs_in(6.0, 0.1), 1);
    }

    #[test]
    fn what_was_written_before_does_not_count() {
        let written = |value| Written {
            transactions: value,
            inserted: value,
            updated: value,
            deleted: value,
            wal_bytes: value,
        };
        assert_eq!(written(50.0).since(written(20.0), 10.0), written(3.0));
    }
}
