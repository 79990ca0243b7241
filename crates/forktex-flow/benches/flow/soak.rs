// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! Steady load for some minutes: steps a second in each, and how tables, indexes and dead rows grow. The
//! slowest minute is held against the first.

use std::error::Error;
use std::time::{Duration, Instant};

use forktex_testkit::figure::Figure;

use crate::fixture::{self, Bench, PATIENCE};
use crate::load::{self, TenNodes};
use crate::probe::{Probe, mebibytes};
use crate::report::{Note, Report};

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
            let first_note = report.notes.len();
            note_minute(&mut report, &mut probe, number + 1, rate).await?;
            for note in report.notes.iter().skip(first_note) {
                eprintln!("{}", note.line(forktex_testkit::figure::Output::Table));
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

async fn note_minute(
    report: &mut Report,
    probe: &mut Probe,
    number: u32,
    rate: f64,
) -> Result<(), Box<dyn Error>> {
    let mut note = |what: String, value, unit| {
        report.notes.push(Note {
            bench: BENCH,
            what: format!("minute {number}: {what}"),
            value,
            unit,
        });
    };
    note("steps a second".to_owned(), rate, "steps/s");
    for size in probe.sizes().await? {
        let table = &size.table;
        note(format!("{table} table"), mebibytes(size.table_bytes), "MiB");
        note(
            format!("{table} indexes"),
            mebibytes(size.index_bytes),
            "MiB",
        );
        #[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
        note(format!("{table} dead rows"), size.dead_rows as f64, "rows");
    }
    Ok(())
}
