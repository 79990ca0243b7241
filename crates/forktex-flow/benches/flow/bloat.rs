// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! Steps per second and the p99 of claims while a transaction holds an old snapshot, which keeps vacuum
//! from removing any dead row, against the same load without it.
//!
//! All runs are started by a flow without a worker, so that each is claimed: the hard case. What is
//! measured is the second half of the time, when the most dead rows are there. How long claims take is
//! heard from the engine's own metric, `forktex_flow_claim_seconds`.

use std::error::Error;
use std::time::{Duration, Instant};

use forktex_testkit::Postgres;
use forktex_testkit::figure::{Figure, median};

use crate::claim_times::ClaimTimes;
use crate::fixture::{self, Bench, PATIENCE};
use crate::load::{self, Steady, TenNodes, ThousandVisits};
use crate::probe::Probe;
use crate::report::{Report, percentile};

const SLOTS: u32 = 1_000;

/// What one kind of runs is called in the report, and how many of them there are at a time.
struct Kind {
    steps: &'static str,
    claim: &'static str,
    /// More than there are slots, so that some always wait to be claimed.
    runs_at_a_time: u32,
    slots: u32,
}

/// What one half of a round came to.
struct Half {
    steps_per_second: f64,
    claim_p99_ms: f64,
}

#[derive(Clone, Copy, PartialEq)]
enum Snapshot {
    None,
    Held,
}

pub(crate) async fn measure(bench: &Bench) -> Result<Report, Box<dyn Error>> {
    let server = fixture::server(&[]).await?;
    let times = ClaimTimes::listen()?;
    let ten = Kind {
        steps: "flow.bloat.10",
        claim: "flow.bloat.10.claim",
        runs_at_a_time: 2 * SLOTS,
        slots: SLOTS,
    };
    let thousand = Kind {
        steps: "flow.bloat.1000",
        claim: "flow.bloat.1000.claim",
        runs_at_a_time: 200,
        slots: 100,
    };
    let mut report = kind::<TenNodes>(bench, &server, &times, &ten).await?;
    report.append(kind::<ThousandVisits>(bench, &server, &times, &thousand).await?);
    Ok(report)
}

async fn kind<W: Steady>(
    bench: &Bench,
    server: &Postgres,
    times: &ClaimTimes,
    kind: &Kind,
) -> Result<Report, Box<dyn Error>> {
    let load_time = bench.size(Duration::from_mins(2), Duration::from_secs(6));
    let mut report = Report::default();
    let (mut free, mut held) = (Vec::new(), Vec::new());
    for round in bench.rounds() {
        bench.progress(kind.steps, round, &format!("{load_time:?} of load"));
        free.push(half::<W>(server, times, kind, load_time, Snapshot::None, &mut report).await?);
        bench.progress(
            kind.steps,
            round,
            &format!("{load_time:?} of load under an old snapshot"),
        );
        held.push(half::<W>(server, times, kind, load_time, Snapshot::Held, &mut report).await?);
    }
    let of = |halves: &[Half], value: fn(&Half) -> f64| median(halves.iter().map(value).collect());
    let steps = |half: &Half| half.steps_per_second;
    let claim = |half: &Half| half.claim_p99_ms;
    let figure = |bench, unit, value: f64, baseline: f64, ratio| Figure {
        bench,
        value,
        unit,
        baseline,
        ratio,
        bar: 0.7,
        at_most: false,
    };
    let (value, baseline) = (of(&held, steps), of(&free, steps));
    report.figures.push(figure(
        kind.steps,
        "steps/s",
        value,
        baseline,
        value / baseline,
    ));
    // A time: as much worse as it is longer.
    let (value, baseline) = (of(&held, claim), of(&free, claim));
    report.figures.push(figure(
        kind.claim,
        "ms p99",
        value,
        baseline,
        baseline / value,
    ));
    Ok(report)
}

async fn half<W: Steady>(
    server: &Postgres,
    times: &ClaimTimes,
    kind: &Kind,
    load_time: Duration,
    snapshot: Snapshot,
    report: &mut Report,
) -> Result<Half, Box<dyn Error>> {
    let database = fixture::database(server).await?;
    let worker = fixture::builder::<W>(database.url(), kind.slots)
        .build()
        .await?;
    worker.start_driver().await?;
    let front = fixture::builder::<W>(database.url(), 1).build().await?;
    let mut holder = Probe::of(&database).await?;
    if snapshot == Snapshot::Held {
        // Idle in a transaction that has read.
        holder.run("BEGIN ISOLATION LEVEL REPEATABLE READ").await?;
        holder
            .number("SELECT count(*) FROM forktex_flow.instance")
            .await?;
    }
    let (began_at, middle) = (Instant::now(), load_time / 2);
    let end = began_at + load_time;
    let second_half = async {
        tokio::time::sleep_until((began_at + middle).into()).await;
        times.take();
        let steps_per_second = load::rate(began_at + middle, end).await;
        (steps_per_second, times.take())
    };
    let (started, (steps_per_second, claims_ms)) = tokio::join!(
        load::keep_up::<W>(&front, kind.runs_at_a_time, end),
        second_half
    );
    let started = usize::try_from(started?)?;
    let mut probe = Probe::of(&database).await?;
    let (when, dead_rows) = match snapshot {
        Snapshot::Held => ("under the snapshot", probe.dead_rows_of_active().await?),
        Snapshot::None => ("without it", probe.dead_rows_of_active().await?),
    };
    #[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
    report.note(
        kind.steps,
        format!("dead rows in `active` {when}"),
        dead_rows as f64,
        "rows",
    );
    if snapshot == Snapshot::Held {
        holder.run("ROLLBACK").await?;
    }
    probe.until_none_lives(PATIENCE).await?;
    probe.expect_completed(started).await?;
    worker.close().await?;
    front.close().await?;
    if claims_ms.is_empty() {
        return Err("no claim was heard of: is the metric still called so?".into());
    }
    #[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
    report.note(
        kind.claim,
        format!("claims measured {when}"),
        claims_ms.len() as f64,
        "claims",
    );
    Ok(Half {
        steps_per_second,
        claim_p99_ms: percentile(claims_ms, 0.99),
    })
}
