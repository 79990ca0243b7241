// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! Steady load for some minutes: steps a second in each, and how tables, indexes and dead rows grow. The
//! slowest minute is held against the first.

use std::error::Error;
use std::time::{Duration, Instant};

use forktex_testkit::figure::{Figure, Output};

use crate::fixture::{self, Bench, PATIENCE};
use crate::load::{self, TenNodes};
use crate::probe::Probe;
use crate::report::Report;

const BENCH: &str = "flow.soak";

const SLOTS: u32 = 1_000;

/// The load before the first minute, so that caches are as warm then as later.
const WARM_UP: Duration = Duration::from_secs(10);

pub(crate) async fn measure(bench: &Bench) -> Result<Report, Box<dyn Error>> {
    let server = fixture::server(&[]).await?;
    let database = fixture::database(&server).await?;
    let flow = fixture::builder::<TenNodes>(database.url(), SLOTS)
        .build()
        .await?;
    flow.start_driver().await?;
    let mut probe = Probe::of(&database).await?;
    let minute = bench.size(Duration::from_mins(1), Duration::from_secs(2));
    let minutes = bench.size(bench.minutes.max(2), 3);
    let first_begins_at = Instant::now() + bench.size(WARM_UP, Duration::from_secs(1));
    let end = first_begins_at + minute * minutes;
    let mut report = Report::default();
    let mut rates = Vec::new();
    let watch = async {
        for number in 0..minutes {
            let begins_at = first_begins_at + minute * number;
            let rate = load::rate(begins_at, begins_at + minute).await;
            rates.push(rate);
            let when = format!("minute {}", number + 1);
            probe
                .note_sizes(&mut report, BENCH, &when, (rate, "steps/s"))
                .await?;
            if let Some(note) = report.notes.last() {
                eprintln!("{}", note.line(Output::Table));
            }
        }
        Ok::<_, Box<dyn Error>>(())
    };
    eprintln!("{BENCH}: {minutes} minutes of {minute:?}");
    let (started, watched) = tokio::join!(load::keep_up::<TenNodes>(&flow, SLOTS, end), watch);
    watched?;
    let started = usize::try_from(started?)?;
    probe.until_none_lives(PATIENCE).await?;
    probe.expect_completed(started).await?;
    flow.close().await?;
    let (first, later) = rates.split_first().ok_or("no minute was measured")?;
    let slowest = later.iter().copied().fold(f64::INFINITY, f64::min);
    report.figures.push(Figure {
        bench: BENCH,
        value: slowest,
        unit: "steps/s",
        baseline: *first,
        ratio: slowest / first,
        bar: 0.9,
        at_most: false,
    });
    Ok(report)
}
