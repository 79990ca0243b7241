// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! The bare loops on Postgres: frozen SQL files, driven by pgbench.

use std::error::Error;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use forktex_testkit::Postgres;
use tokio::process::Command;

/// How many jobs one turn of a loop claims and removes, or puts in.
pub(crate) const BATCH: u64 = 200;

/// How many connections a loop has.
const CLIENTS: u64 = 4;

/// Lays the table anew, and puts jobs in.
pub(crate) async fn set_up(server: &Postgres, url: &str, jobs: u64) -> Result<(), Box<dyn Error>> {
    psql(server, url, "setup.sql", &[]).await?;
    psql(server, url, "fill.sql", &[("jobs", jobs)]).await
}

/// Claims and removes most of so many jobs: as many as every turn finds its whole batch of. Jobs a second.
pub(crate) async fn batched(
    server: &Postgres,
    url: &str,
    jobs: u64,
) -> Result<f64, Box<dyn Error>> {
    let turns = jobs * 9 / 10 / BATCH / CLIENTS;
    turns_per_second(server, url, "batched.sql", turns)
        .await
        .map(|turns| turns * f64::from(u32::try_from(BATCH).unwrap_or(u32::MAX)))
}

/// Puts so many jobs in. Jobs a second.
pub(crate) async fn enqueued(
    server: &Postgres,
    url: &str,
    jobs: u64,
) -> Result<f64, Box<dyn Error>> {
    let turns = jobs / BATCH / CLIENTS;
    turns_per_second(server, url, "enqueue.sql", turns)
        .await
        .map(|turns| turns * f64::from(u32::try_from(BATCH).unwrap_or(u32::MAX)))
}

/// How many jobs [`batched`] takes.
pub(crate) fn taken(jobs: u64) -> u64 {
    jobs * 9 / 10 / BATCH / CLIENTS * CLIENTS * BATCH
}

async fn turns_per_second(
    server: &Postgres,
    url: &str,
    name: &str,
    turns: u64,
) -> Result<f64, Box<dyn Error>> {
    let mut pgbench = Command::new(program(server, "pgbench"));
    pgbench
        .args(["-n", "-M", "prepared", "-j", "2"])
        .args(["-c", &CLIENTS.to_string(), "-t", &turns.max(1).to_string()])
        .arg("-f")
        .arg(script(name))
        .arg(url);
    let printed = output(&mut pgbench).await?;
    let rate = printed.lines().find_map(|line| {
        let rate = line.strip_prefix("tps = ")?.split(' ').next()?;
        rate.parse::<f64>().ok()
    });
    rate.ok_or_else(|| format!("pgbench did not print its rate: {printed}").into())
}

async fn psql(
    server: &Postgres,
    url: &str,
    name: &str,
    variables: &[(&str, u64)],
) -> Result<(), Box<dyn Error>> {
    let mut psql = Command::new(program(server, "psql"));
    psql.args(["-qX", "-v", "ON_ERROR_STOP=1"]);
    for (name, value) in variables {
        psql.arg("-v").arg(format!("{name}={value}"));
    }
    output(psql.arg("-f").arg(script(name)).arg(url)).await?;
    Ok(())
}

fn script(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("benches/baseline")
        .join(name)
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
