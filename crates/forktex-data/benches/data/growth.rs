// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! One register as it grows, and what adding a field takes at both ends.

use std::error::Error;
use std::time::Instant;

use forktex_data::{FieldDefinition, Register, RowQuery, TenantData, field};
use forktex_testkit::figure::{Figure, median};
use uuid::Uuid;

use crate::fixture::{self, Bench, Place, milliseconds_each};
use crate::invoices::{self, Invoice, STATUSES};
use crate::report::Report;

const ADD_FIELD: &str = "data.add_field";
const GROWTH: &str = "data.growth";

/// Adding a field does no work per row: what is left is the noise of single commits.
const ADD_FIELD_BAR: f64 = 1.5;

const PAGES: usize = 200;
const INSERTS: usize = 200;

pub(crate) async fn measure(bench: &Bench) -> Result<Report, Box<dyn Error>> {
    let server = fixture::postgres().await?;
    let place = Place::create(&server).await?;
    let tenant = place.data.tenant(Uuid::now_v7());
    let register = invoices::create_register(&tenant).await?;
    let most = bench.records(1_000_000, 40_000);
    // Fewer rows would have no second page.
    let sizes = [most / 100, most / 10, most].map(|size| size.max(2_000));
    let mut filled = 0_usize;
    let mut report = Report::default();
    let mut added = Vec::new();
    for size in sizes {
        eprintln!("{GROWTH}: growing to {size} rows");
        let began_at = Instant::now();
        invoices::fill(&register, filled..size).await?;
        let put_in = size.saturating_sub(filled);
        report.note(
            GROWTH,
            format!("rows put in by create_many, up to {size}"),
            fixture::rate(began_at, put_in),
            "rows/s",
        );
        filled = filled.max(size);
        place.settle().await?;
        note_queries(&register, size, &mut report).await?;
        filled += INSERTS;
        added.push(fields_added(bench, &tenant, size).await?);
    }
    let (largest, smallest) = (added.last().copied(), added.first().copied());
    let (value, baseline) = largest.zip(smallest).ok_or("no size was measured")?;
    report.figures.push(Figure {
        bench: ADD_FIELD,
        value,
        unit: "ms",
        baseline,
        ratio: value / baseline,
        bar: ADD_FIELD_BAR,
        at_most: true,
    });
    for (size, value) in sizes.into_iter().zip(added) {
        report.note(
            ADD_FIELD,
            format!("a field added at {size} rows"),
            value,
            "ms",
        );
    }
    Ok(report)
}

async fn note_queries(
    register: &Register,
    size: usize,
    report: &mut Report,
) -> Result<(), Box<dyn Error>> {
    let page = |status: &str| {
        RowQuery::new(register)
            .filter(field("status").eq(status))
            .order_by("-issued_at")
    };
    let mut cursors = Vec::with_capacity(PAGES);
    let began_at = Instant::now();
    for status in STATUSES.iter().cycle().take(PAGES) {
        cursors.push(
            page(status)
                .scroll(50)
                .await?
                .next
                .ok_or("there is no next page")?,
        );
    }
    let first = milliseconds_each(began_at, PAGES);
    let began_at = Instant::now();
    for (status, cursor) in STATUSES.iter().cycle().zip(cursors) {
        page(status).scroll_after(cursor, 50).await?;
    }
    let next = milliseconds_each(began_at, PAGES);
    let rows = register.rows();
    let began_at = Instant::now();
    for n in size..size + INSERTS {
        rows.create(Invoice::numbered(n).draft()).await?;
    }
    let insert = milliseconds_each(began_at, INSERTS);
    report.note(
        GROWTH,
        format!("an indexed page of 50 at {size} rows"),
        first,
        "ms",
    );
    report.note(GROWTH, format!("the next page at {size} rows"), next, "ms");
    report.note(
        GROWTH,
        format!("one row created at {size} rows"),
        insert,
        "ms",
    );
    Ok(())
}

/// The median of some fields, each added by a handle that has just been loaded.
async fn fields_added(
    bench: &Bench,
    tenant: &TenantData,
    size: usize,
) -> Result<f64, Box<dyn Error>> {
    let register = tenant.register(invoices::NAME).await?;
    let mut times = Vec::new();
    // The first one pays for what a connection learns once.
    for n in 0..=bench.rounds().count() * 3 {
        let field = FieldDefinition::text(format!("added_at_{size}_{n}"));
        let began_at = Instant::now();
        register.add_field(field).await?;
        times.push(milliseconds_each(began_at, 1));
    }
    times.remove(0);
    Ok(median(times))
}
