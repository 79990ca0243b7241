// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! One round: errands and murders at the same time, then healing, rest, and judgement.

use std::path::{Path, PathBuf};
use std::time::Duration;

use fastrand::Rng;
use forktex::db::sqlx::{self, PgPool};
use forktex::flow::failpoint;
use forktex::flow::planted::PlantedFault;
use forktex_testkit::Postgres;
use tokio::time::{Instant, sleep};

use crate::arena::{Arena, Outcome};
use crate::crew::{SharedCoverage, locked};
use crate::judge::{Violation, blind_checks, history, judge, meant_for};
use crate::ledger::patiently;
use crate::scenario::{Murderer, Scenario};
use crate::worker::Release;

/// How long all may take to come to rest after the last murder.
const SETTLE_LIMIT: Duration = Duration::from_mins(1);
/// After how long without a new entry in any journal what still lives is taken to be stuck.
const STUCK_AFTER: Duration = Duration::from_secs(15);
/// The same where a fault is planted, and something is likely to be.
const STUCK_AFTER_FAULT: Duration = Duration::from_secs(6);
/// How long a connection may stay in a transaction when everything has ended.
const IDLE_LIMIT: Duration = Duration::from_secs(5);
const POLL: Duration = Duration::from_millis(50);
/// How many workers bring a round to its end.
const HEALTHY: usize = 2;
/// By how many minutes the schedule is made late.
const LATE_MINUTES: i32 = 4;

/// What is to be done in a round. The seed says the rest.
#[derive(Debug, Clone)]
pub(crate) struct Round {
    pub(crate) seed: u64,
    pub(crate) scenario: Scenario,
    /// How long the murders take.
    pub(crate) length: Duration,
    pub(crate) runs: u32,
    pub(crate) planted: Option<PlantedFault>,
    /// Whether to prove that each check would find what it is for.
    pub(crate) proves_checks: bool,
    /// Where what tells of a violation is kept.
    pub(crate) kept_in: PathBuf,
}

/// What came of it.
#[derive(Debug)]
pub(crate) struct Report {
    pub(crate) runs: i64,
    pub(crate) entries: i64,
    pub(crate) bodies: i64,
    pub(crate) deaths: u32,
    pub(crate) settled_in: Duration,
    pub(crate) violations: Vec<Violation>,
    pub(crate) histories: Vec<String>,
}

impl Report {
    /// Whether the check found something that the fault is for.
    pub(crate) fn finds(&self, fault: PlantedFault) -> bool {
        let check = meant_for(fault);
        self.violations
            .iter()
            .any(|violation| violation.check == check)
    }
}

/// The most runs whose history is told.
const HISTORIES_MAX: usize = 2;

impl Round {
    pub(crate) async fn play(
        &self,
        server: &Postgres,
        coverage: SharedCoverage,
    ) -> Outcome<Report> {
        let way = self.scenario.way();
        let shared = SharedCoverage::clone(&coverage);
        let mut arena = Arena::prepare(server, way, self.planted, shared).await?;
        let has_two = self.scenario.has_two();
        arena.assign(self.length, self.runs, has_two).await?;
        let delaying = tokio::spawn(delay_schedule(arena.side.clone(), self.length / 3));
        let mut rng = Rng::with_seed(self.seed);
        let plan = self.plan(&mut rng, &coverage);
        let mut murderer = Murderer {
            arena: &mut arena,
            rng,
            until: Instant::now() + self.length,
            plan,
        };
        murderer.hurt(self.scenario).await?;

        let healed_at = Instant::now();
        self.heal(&mut arena).await?;
        delaying.await?;
        let mut violations = settle(&arena, self.stuck_after()).await?;
        let settled_in = healed_at.elapsed();
        violations.extend(left_in_transaction(&arena.side).await?);
        if !arena.crew.dismiss_all().await {
            violations.push(Violation {
                check: "workers drain and end",
                instance: None,
                what: "one had to be killed".to_owned(),
            });
        }
        note_blows(&arena).await?;
        violations.extend(judge(&arena.side).await?);
        if self.proves_checks && violations.is_empty() {
            let blind = blind_checks(&arena.side).await?;
            violations.extend(blind.into_iter().map(|check| Violation {
                check,
                instance: None,
                what: "the check does not find what was broken for it".to_owned(),
            }));
        }
        self.report(&arena, violations, settled_in).await
    }

    async fn report(
        &self,
        arena: &Arena<'_>,
        violations: Vec<Violation>,
        settled_in: Duration,
    ) -> Outcome<Report> {
        let mut histories = Vec::new();
        let mut told: Vec<&String> = Vec::new();
        for instance in violations
            .iter()
            .filter_map(|violation| violation.instance.as_ref())
        {
            if told.len() < HISTORIES_MAX && !told.contains(&instance) {
                told.push(instance);
                histories.push(format!("run {instance}"));
                let lines = history(&arena.side, instance).await?;
                histories.extend(lines.into_iter().map(|line| format!("  {line}")));
            }
        }
        if !violations.is_empty() {
            keep_log(arena.server, &self.kept_in, self.seed)?;
        }
        let (runs, entries, bodies) = sqlx::query_as(
            "SELECT (SELECT count(*) FROM forktex_flow.instance),
                    (SELECT count(*) FROM forktex_flow.journal),
                    (SELECT count(*) FROM public.ledger)",
        )
        .fetch_one(&arena.side)
        .await?;
        Ok(Report {
            runs,
            entries,
            bodies,
            deaths: arena.crew.kills,
            settled_in,
            violations,
            histories,
        })
    }

    fn stuck_after(&self) -> Duration {
        match self.planted {
            Some(_) => STUCK_AFTER_FAULT,
            None => STUCK_AFTER,
        }
    }

    async fn heal(&self, arena: &mut Arena<'_>) -> Outcome<()> {
        arena.proxy.unblock();
        arena.proxy.unmute();
        arena.proxy.delay(Duration::ZERO);
        arena.crew.thaw();
        if self.scenario == Scenario::Points {
            // They would go on dying.
            while arena.crew.len() > 0 {
                arena.crew.kill(0).await;
            }
        }
        arena.crew.bury();
        while arena.crew.len() < HEALTHY {
            arena.hire(Release::New, None)?;
        }
        Ok(())
    }

    /// Where workers are to die, the first last. The seeds share the points among them; of those, the
    /// points come first where none has died yet, and last those that no worker came to so far.
    fn plan(&self, rng: &mut Rng, coverage: &SharedCoverage) -> Vec<(String, u32)> {
        let points = if self.planted.is_some() {
            SPOILED.repeat(10)
        } else {
            let mut points = failpoint::points();
            let places = points.len() as u64;
            let first = self.scenario.ordinal(self.seed) * u64::from(POINTS_A_ROUND) % places;
            points.rotate_left(usize::try_from(first).unwrap_or_default());
            let coverage = locked(coverage);
            points.sort_by_key(|point| {
                let seen = coverage.of(point);
                (seen.reached == 0 && !coverage.is_empty(), seen.died > 0)
            });
            points
        };
        let mut plan: Vec<(String, u32)> = points
            .into_iter()
            .map(|point| {
                // Where none has died yet, workers may come seldom.
                let is_new = locked(coverage).of(point).died == 0;
                let time = if is_new || rng.bool() {
                    1
                } else {
                    rng.u32(2..=20)
                };
                (point.to_owned(), time)
            })
            .collect();
        plan.reverse();
        plan
    }
}

/// Between what a planted fault has torn apart.
const SPOILED: [&str; 4] = [
    "before.commit_batch",
    "before.commit_in",
    "before.commit_alone",
    "after.commit_in",
];

/// How many points one round is to come by.
const POINTS_A_ROUND: u32 = 12;

/// Makes the schedule late as soon as a worker has brought it, so that several ticks are caught up with.
async fn delay_schedule(side: PgPool, after: Duration) {
    sleep(after).await;
    loop {
        let late = patiently(|| async {
            sqlx::query(
                "UPDATE forktex_flow.schedule
                 SET next_fire_at = next_fire_at - $1 * interval '1 minute'
                 WHERE workflow_name = 'chaos.tick' AND next_fire_at > now()",
            )
            .bind(LATE_MINUTES)
            .execute(&side)
            .await
        });
        match late.await {
            Ok(done) if done.rows_affected() == 0 => sleep(POLL).await,
            Ok(_) => return,
            Err(error) => {
                tracing::warn!(%error, "the schedule is not late");
                return;
            }
        }
    }
}

/// Waits until nothing is left to be done. What is stuck is for the checks to tell.
async fn settle(arena: &Arena<'_>, stuck_after: Duration) -> Outcome<Vec<Violation>> {
    let deadline = Instant::now() + SETTLE_LIMIT;
    let (mut entries_known, mut moved_at) = (0, Instant::now());
    let mut is_clock_off = false;
    loop {
        let (open, entries): (i64, i64) = sqlx::query_as(
            "SELECT (SELECT count(*) FROM public.errand WHERE done_at IS NULL)
                    + (SELECT count(*) FROM forktex_flow.active)
                    + (SELECT count(*) FROM forktex_flow.schedule
                       WHERE is_enabled AND next_fire_at <= now()),
                    (SELECT count(*) FROM forktex_flow.journal)",
        )
        .fetch_one(&arena.side)
        .await?;
        if entries != entries_known {
            (entries_known, moved_at) = (entries, Instant::now());
        }
        if open == 0 && is_clock_off {
            return Ok(Vec::new());
        }
        if open == 0 {
            // No tick may come between the rest and the end of the workers.
            sqlx::query("UPDATE forktex_flow.schedule SET is_enabled = false")
                .execute(&arena.side)
                .await?;
            is_clock_off = true;
            continue;
        }
        let now = Instant::now();
        if now > deadline || now > moved_at + stuck_after {
            let what = format!("{open} runs and errands are left, and nothing moves any more");
            return Ok(vec![Violation {
                check: "all comes to rest",
                instance: None,
                what,
            }]);
        }
        sleep(POLL).await;
    }
}

/// Connections of workers that stay in a transaction although there is nothing to do.
async fn left_in_transaction(side: &PgPool) -> Outcome<Vec<Violation>> {
    let deadline = Instant::now() + IDLE_LIMIT;
    loop {
        let left: Vec<String> = sqlx::query_scalar(
            "SELECT application_name || ' is ' || state || ' since ' || state_change || ': ' || query
             FROM pg_stat_activity
             WHERE datname = current_database() AND pid <> pg_backend_pid()
               AND xact_start < clock_timestamp() - interval '1 second'",
        )
        .fetch_all(side)
        .await?;
        if left.is_empty() || Instant::now() > deadline {
            let violation = |what| Violation {
                check: "no connection stays in a transaction",
                instance: None,
                what,
            };
            return Ok(left.into_iter().map(violation).collect());
        }
        sleep(POLL).await;
    }
}

async fn note_blows(arena: &Arena<'_>) -> Outcome<()> {
    let blows = arena.crew.blows();
    let (names, bodies): (Vec<String>, Vec<i32>) = blows
        .iter()
        .map(|(name, bodies)| (name.clone(), i32::try_from(*bodies).unwrap_or(i32::MAX)))
        .unzip();
    sqlx::query("INSERT INTO public.blow SELECT * FROM unnest($1::text[], $2::integer[])")
        .bind(names)
        .bind(bodies)
        .execute(&arena.side)
        .await?;
    Ok(())
}

/// The server's log, for whoever looks into a violation.
fn keep_log(server: &Postgres, folder: &Path, seed: u64) -> Outcome<()> {
    std::fs::create_dir_all(folder)?;
    let log = server.socket_folder().join("server.log");
    std::fs::copy(log, log_path(folder, seed))?;
    Ok(())
}

/// Where the log of the round of a seed is kept.
pub(crate) fn log_path(folder: &Path, seed: u64) -> PathBuf {
    folder.join(format!("postgres-seed-{seed}.log"))
}
