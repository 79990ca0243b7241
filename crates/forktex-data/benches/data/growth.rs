// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! One register as it grows, and what adding a field takes where there are few rows and where there are
//! many.
//!
//! Fields are added in turns to two registers of one tenant that differ in their rows alone: at each turn
//! both have as many fields and as many versions behind them.

use std::error::Error;
use std::time::Instant;

use forktex_data::{FieldDefinition, Register, RowQuery, TenantData, field};
use forktex_testkit::figure::median;
use uuid::Uuid;

use crate::fixture::{self, Bench, Place, milliseconds_each};
use crate::invoices::{self, Invoice, STATUSES};
use crate::report::{Report, Sides};

const ADD_FIELD: &str = "data.add_field";
const GROWTH: &str = "data.growth";

/// Adding a field does no work per row: what is left is the noise of single commits.
const ADD_FIELD_BAR: f64 = 1.5;

/// The register that stays small.
const SMALL: &str = "small";

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
    }
    let [few, ..] = sizes;
    let small = tenant.create_register(invoices::definition(SMALL)).await?;
    invoices::fill(&small, 0..few).await?;
    place.settle().await?;
    let additions = fields_added(bench, &tenant).await?;
    for (size, times) in [(few, &additions.bare), (filled, &additions.ours)] {
        report.note(
            ADD_FIELD,
            format!("a field added at {size} rows"),
            median(times.clone()),
            "ms",
        );
    }
    report
        .figures
        .push(additions.at_most(ADD_FIELD, "ms", ADD_FIELD_BAR));
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

/// What each of some fields took: in the register that grew, against the one that stayed small.
async fn fields_added(bench: &Bench, tenant: &TenantData) -> Result<Sides, Box<dyn Error>> {
    let mut sides = Sides::default();
    for turn in 0..=bench.rounds().count() * 3 {
        let large = tenant.register(invoices::NAME).await?;
        let small = tenant.register(SMALL).await?;
        let size = |register: &Register| (register.version(), register.fields().len());
        if size(&large) != size(&small) {
            return Err("the two registers have not as many versions and fields".into());
        }
        // A definition is held against all of its tenant, which grows with each field: the registers
        // take turns at being the first.
        let (ours, bare) = if turn.is_multiple_of(2) {
            let bare = field_added(&small, turn).await?;
            (field_added(&large, turn).await?, bare)
        } else {
            let ours = field_added(&large, turn).await?;
            (ours, field_added(&small, turn).await?)
        };
        // The first turn pays for what a connection learns once.
        if turn > 0 {
            sides.ours.push(ours);
            sides.bare.push(bare);
        }
    }
    Ok(sides)
}

/// Milliseconds.
async fn field_added(register: &Register, turn: usize) -> Result<f64, Box<dyn Error>> {
    let field = FieldDefinition::text(format!("added_{turn}"));
    let began_at = Instant::now();
    register.add_field(field).await?;
    Ok(milliseconds_each(began_at, 1))
}
