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

/// Steps per second of 50 steps a commit on 4 connections.
pub(crate) async fn batched(server: &Postgres, url: &str) -> Result<f64, Box<dyn Error>> {
    let mut pgbench = pgbench(server, "batched.sql");
    let printed = output(pgbench.args(["-c", "4", "-j", "2"]).arg(url)).await?;
    let commits_per_second = printed
        .lines()
        .find_map(|line| {
            line.strip_prefix("tps = ")?
                .split(' ')
                .next()?
                .parse::<f64>()
                .ok()
        })
        .ok_or_else(|| format!("pgbench printed no rate: {printed}"))?;
    Ok(commits_per_second * 50.0)
}

/// The median latency in milliseconds of one step a commit on one connection.
pub(crate) async fn alone(server: &Postgres, url: &str) -> Result<f64, Box<dyn Error>> {
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
