// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! The bare loops: frozen SQL files, driven by pgbench.

use std::error::Error;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use forktex_testkit::Postgres;
use tokio::process::Command;

use forktex_testkit::figure::median;

/// How long one round of a bare loop lasts.
const SECONDS: &str = "5";

/// A folder of the baseline's SQL files.
fn script(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("benches/baseline")
        .join(name)
}

/// Lays the tables of the bare loops anew.
pub(crate) async fn set_up(server: &Postgres, url: &str) -> Result<(), Box<dyn Error>> {
    let psql = program(server, "psql");
    let setup = script("setup.sql");
    output(
        Command::new(psql)
            .arg("-qX")
            .args(["-v", "ON_ERROR_STOP=1", "-f"])
            .arg(setup)
            .arg(url),
    )
    .await?;
    Ok(())
}

/// What the loop of 50 steps a commit did.
pub(crate) struct Batched {
    pub(crate) steps: f64,
    pub(crate) steps_per_second: f64,
}

/// 50 steps a commit on 4 connections.
pub(crate) async fn batched(server: &Postgres, url: &str) -> Result<Batched, Box<dyn Error>> {
    let mut pgbench = pgbench(server, "batched.sql");
    let printed = output(pgbench.args(["-c", "4", "-j", "2"]).arg(url)).await?;
    let number_after = |words: &str| {
        printed
            .lines()
            .find_map(|line| {
                line.strip_prefix(words)?
                    .split([' ', '/'])
                    .next()?
                    .parse::<f64>()
                    .ok()
            })
            .ok_or_else(|| format!("pgbench did not print `{words}`: {printed}"))
    };
    Ok(Batched {
        steps: number_after("number of transactions actually processed: ")? * 50.0,
        steps_per_second: number_after("tps = ")? * 50.0,
    })
}

/// The median latency of [`alone`] in a database of its own.
pub(crate) async fn bare_commit_ms(server: &Postgres) -> Result<f64, Box<dyn Error>> {
    let database = server.create_database().await?;
    set_up(server, database.superuser_url()).await?;
    alone(server, database.superuser_url()).await
}

/// Runs one of the benchmark's own SQL files, with a number for each of its variables.
pub(crate) async fn run_file(
    server: &Postgres,
    url: &str,
    file: &str,
    variables: &[(&str, u64)],
) -> Result<(), Box<dyn Error>> {
    let mut psql = Command::new(program(server, "psql"));
    psql.args(["-qX", "-v", "ON_ERROR_STOP=1"]);
    for (name, value) in variables {
        psql.arg("-v").arg(format!("{name}={value}"));
    }
    let file = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("benches/flow")
        .join(file);
    output(psql.arg("-f").arg(file).arg(url)).await?;
    Ok(())
}

/// The median latency in milliseconds of one step a commit on one connection.
async fn alone(server: &Postgres, url: &str) -> Result<f64, Box<dyn Error>> {
    let folder = std::env::temp_dir().join(format!("forktex-bench-{}", std::process::id()));
    std::fs::create_dir_all(&folder)?;
    let mut pgbench = pgbench(server, "alone.sql");
    let ran = output(
        pgbench
            .args(["-c", "1", "--log", "--log-prefix=alone"])
            .arg(url)
            .current_dir(&folder),
    )
    .await;
    let latencies = latencies_ms(&folder);
    std::fs::remove_dir_all(&folder)?;
    ran?;
    Ok(median(latencies?))
}

/// The third column of pgbench's logs, in microseconds there.
fn latencies_ms(folder: &Path) -> Result<Vec<f64>, Box<dyn Error>> {
    let mut latencies = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        for line in std::fs::read_to_string(entry?.path())?.lines() {
            let latency_us: f64 = line
                .split(' ')
                .nth(2)
                .ok_or("a short line in pgbench's log")?
                .parse()?;
            latencies.push(latency_us / 1_000.0);
        }
    }
    Ok(latencies)
}

fn pgbench(server: &Postgres, name: &str) -> Command {
    let mut command = Command::new(program(server, "pgbench"));
    command
        .args(["-n", "-M", "prepared", "-T", SECONDS, "-f"])
        .arg(script(name));
    command
}

fn program(server: &Postgres, name: &str) -> PathBuf {
    let beside = server.bin_dir().join(name);
    if beside.exists() {
        beside
    } else {
        PathBuf::from(name)
    }
}

async fn output(command: &mut Command) -> Result<String, Box<dyn Error>> {
    let done = command.stdin(Stdio::null()).output().await.map_err(|error| {
        format!("cannot run pgbench or psql ({error}); on Debian type: apt-get install -y postgresql")
    })?;
    if !done.status.success() {
        return Err(String::from_utf8_lossy(&done.stderr).into_owned().into());
    }
    Ok(String::from_utf8_lossy(&done.stdout).into_owned())
}
