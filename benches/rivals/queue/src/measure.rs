// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! One turn after the other on one server, and what came of them.

use std::process::Stdio;
use std::time::Duration;

use forktex_cache::Cache;
use forktex_cache::fred::interfaces::ClientLike;
use forktex_testkit::figure::median;
use forktex_testkit::{Redis, RedisOptions};
use tokio::process::Command;

use crate::contender::{Contender, Order, Outcome, Report, TEXT, Task};

/// How long one process may work.
const LIMIT: Duration = Duration::from_mins(3);

/// The first pickups, which are not counted.
const WARM_UP: usize = 20;

/// The server that all share.
pub(crate) struct Bench {
    server: Redis,
    cache: Cache,
    /// Jobs of a turn, where a person said so.
    jobs: Option<u64>,
}

/// What one side did in one turn.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Turn {
    pub(crate) jobs_per_second: f64,
    /// The median, and the 99th percentile.
    pub(crate) pickup_ms: f64,
    pub(crate) pickup_p99_ms: f64,
}

/// A rival, with its turns and ours beside them.
#[derive(Debug)]
pub(crate) struct Standing {
    pub(crate) rival: Contender,
    pub(crate) version: String,
    /// Ours, theirs.
    pub(crate) turns: Vec<(Turn, Turn)>,
    /// Why it does not run; it takes no more turns then.
    pub(crate) failure: Option<String>,
}

/// The medians of ours and of theirs, and the spread of theirs.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pair {
    pub(crate) ours: f64,
    pub(crate) theirs: f64,
    pub(crate) least: f64,
    pub(crate) most: f64,
}

impl Bench {
    /// Starts a private server that keeps everything in memory.
    pub(crate) async fn start(jobs: Option<u64>) -> Outcome<Self> {
        let server = Redis::start(RedisOptions::new()).await?;
        let cache = Cache::connect(server.url()).await?;
        Ok(Self {
            server,
            cache,
            jobs,
        })
    }

    async fn turn(&self, contender: &Contender) -> Outcome<(Turn, String)> {
        let jobs = self.jobs.unwrap_or(contender.jobs);
        let many = self.ask(contender, Task::Many, jobs).await?;
        if many.begun < jobs {
            return Err(format!("{} jobs began, of {jobs}", many.begun).into());
        }
        let pickup = self.ask(contender, Task::Pickup, contender.pickups).await?;
        let mut times: Vec<f64> = pickup.times.into_iter().skip(WARM_UP).collect();
        times.sort_by(f64::total_cmp);
        let p99 = times.get(times.len() * 99 / 100).copied();
        let turn = Turn {
            jobs_per_second: rate(jobs, many.seconds),
            pickup_p99_ms: p99.ok_or("no pickup was measured")?,
            pickup_ms: median(times),
        };
        Ok((turn, many.version))
    }

    /// Empties the server, has a process of its own do the task, and reads its report.
    async fn ask(&self, contender: &Contender, task: Task, jobs: u64) -> Outcome<Report> {
        let pool = self.cache.client().ok_or("the cache is in process")?;
        pool.flushall::<()>(false).await?;
        let order = Order {
            url: self.server.url().to_owned(),
            task,
            jobs,
            at_once: contender.at_once,
            text: TEXT.to_owned(),
        };
        let (program, arguments) = match &contender.program {
            Ok(program) => program.split_first().ok_or("it names no program")?,
            Err(reason) => return Err(reason.clone().into()),
        };
        let mut command = Command::new(program);
        command
            .args(arguments)
            .arg(serde_json::to_string(&order)?)
            .stdin(Stdio::null())
            .kill_on_drop(true);
        let done = tokio::time::timeout(LIMIT, command.output())
            .await
            .map_err(|_| format!("{task:?} took longer than {} s", LIMIT.as_secs()))??;
        if !done.status.success() {
            let complaint = String::from_utf8_lossy(&done.stderr);
            return Err(format!("{task:?}: {}", complaint.trim()).into());
        }
        let told = String::from_utf8_lossy(&done.stdout);
        let last = told.lines().last().unwrap_or_default();
        Ok(serde_json::from_str(last).map_err(|error| format!("{task:?}: {error} in `{last}`"))?)
    }
}

impl Standing {
    /// A rival that has taken no turn yet; one that is not installed takes none.
    pub(crate) fn new(rival: Contender) -> Self {
        Self {
            failure: rival.program.as_ref().err().cloned(),
            rival,
            version: String::new(),
            turns: Vec::new(),
        }
    }

    /// Ours, then theirs. A fault of ours ends the program, one of theirs their part in it.
    pub(crate) async fn take_turn(&mut self, bench: &Bench, ours: &Contender) -> Outcome<()> {
        let (our_turn, _) = bench.turn(ours).await?;
        match bench.turn(&self.rival).await {
            Ok((turn, version)) => {
                eprintln!(
                    "  ours {:.0} jobs/s, pickup p99 {:.2} ms; theirs {:.0} jobs/s, {:.2} ms",
                    our_turn.jobs_per_second,
                    our_turn.pickup_p99_ms,
                    turn.jobs_per_second,
                    turn.pickup_p99_ms,
                );
                self.version = version;
                self.turns.push((our_turn, turn));
            }
            Err(fault) => {
                eprintln!("  {} does not run: {fault}", self.rival.name);
                self.failure = Some(fault.to_string());
            }
        }
        Ok(())
    }

    /// The medians of one figure.
    pub(crate) fn pair(&self, figure: fn(&Turn) -> f64) -> Pair {
        let theirs: Vec<f64> = self
            .turns
            .iter()
            .map(|(_, theirs)| figure(theirs))
            .collect();
        Pair {
            least: theirs.iter().copied().fold(f64::INFINITY, f64::min),
            most: theirs.iter().copied().fold(f64::NEG_INFINITY, f64::max),
            ours: median(self.turns.iter().map(|(ours, _)| figure(ours)).collect()),
            theirs: median(theirs),
        }
    }
}

impl Pair {
    /// The ratio of the medians.
    pub(crate) fn ratio(self) -> f64 {
        self.ours / self.theirs
    }
}

#[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
fn rate(jobs: u64, seconds: f64) -> f64 {
    jobs as f64 / seconds
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_medians_make_the_ratio() {
        let turn = |jobs_per_second| Turn {
            jobs_per_second,
            pickup_ms: 1.0,
            pickup_p99_ms: 1.0,
        };
        let mut standing = Standing::new(Contender::arq());
        for theirs in [2.0, 9.0, 4.0] {
            standing.turns.push((turn(60.0), turn(theirs)));
        }
        let pair = standing.pair(|turn| turn.jobs_per_second);
        assert!((pair.ratio() - 15.0).abs() < f64::EPSILON);
        assert!((pair.least - 2.0).abs() < f64::EPSILON && (pair.most - 9.0).abs() < f64::EPSILON);
    }
}
