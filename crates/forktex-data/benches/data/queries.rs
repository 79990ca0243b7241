// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! A page, the next page and the facets of one tenant of many, against the same on a typed table.

use std::error::Error;
use std::time::Instant;

use forktex_data::{Register, RowQuery, field};
use futures_util::{StreamExt as _, TryStreamExt as _};
use uuid::Uuid;

use crate::bare;
use crate::fixture::{self, Bench, Place, milliseconds_each};
use crate::invoices::{self, STATUSES};
use crate::report::{Report, Sides};

const PAGE: &str = "data.filtered_page";
const NEXT: &str = "data.next_page";
const FACETS: &str = "data.facets";

const PAGE_ROWS: u32 = 50;

/// How many tenants are filled at the same time.
const FILLED_AT_ONCE: usize = 4;

/// The bar of a page, of what the typed table takes.
const PAGE_BAR: f64 = 2.0;
/// The bar of facets, of what bare SQL takes.
const FACETS_BAR: f64 = 3.0;

struct Tenant {
    id: Uuid,
    invoices: Register,
}

#[derive(Default)]
struct Times {
    page: Sides,
    next: Sides,
    facets: Sides,
}

pub(crate) async fn measure(bench: &Bench) -> Result<Report, Box<dyn Error>> {
    let server = fixture::postgres().await?;
    let place = Place::create(&server).await?;
    let tenants = fill(bench, &place).await?;
    compare_answers(&place, &tenants).await?;
    let pages = bench.size(500, 50);
    let facets = bench.size(20, 5);
    let mut times = Times::default();
    for round in bench.rounds() {
        bench.progress(PAGE, round, &format!("{pages} pages on each side"));
        // The order of the two sides changes from round to round.
        for side in [round % 2, (round + 1) % 2] {
            if side == 0 {
                ours(&tenants, pages, facets, &mut times).await?;
            } else {
                hand_made(&place, &tenants, pages, facets, &mut times).await?;
            }
        }
    }
    let mut report = Report::default();
    report.figures.extend([
        times.page.at_most(PAGE, "ms", PAGE_BAR),
        times.next.at_most(NEXT, "ms", PAGE_BAR),
        times.facets.at_most(FACETS, "ms", FACETS_BAR),
    ]);
    Ok(report)
}

/// The same rows on both sides.
async fn fill(bench: &Bench, place: &Place) -> Result<Vec<Tenant>, Box<dyn Error>> {
    let records = bench.records(1_000_000, 20_000);
    let count = bench.size(50, 4);
    let each = records / count;
    eprintln!("{PAGE}: filling {count} tenants with {each} rows each");
    let began_at = Instant::now();
    let filling = (0..count).map(|n| async move {
        let id = Uuid::now_v7();
        let tenant = place.data.tenant(id);
        let invoices = tenant
            .create_register(invoices::definition(invoices::NAME))
            .await?;
        invoices::fill(&invoices, n * each..(n + 1) * each).await?;
        Ok::<_, forktex_data::DataError>(Tenant { id, invoices })
    });
    let tenants: Vec<Tenant> = futures_util::stream::iter(filling)
        .buffer_unordered(FILLED_AT_ONCE)
        .try_collect()
        .await?;
    eprintln!(
        "{PAGE}: filled at {:.0} rows a second",
        fixture::rate(began_at, each * count)
    );
    bare::lay(&place.owner).await?;
    let filled = bare::fill(&place.administrator).await?;
    if filled != u64::try_from(each * count)? {
        return Err(format!("the typed table has {filled} rows of {}", each * count).into());
    }
    place.settle().await?;
    Ok(tenants)
}

fn page(tenant: &Tenant, status: &str) -> RowQuery {
    RowQuery::new(&tenant.invoices)
        .filter(field("status").eq(status))
        .order_by("-issued_at")
}

/// Both sides give the same rows, or nothing that is measured means anything.
async fn compare_answers(place: &Place, tenants: &[Tenant]) -> Result<(), Box<dyn Error>> {
    for (tenant, status) in tenants.iter().zip(STATUSES) {
        let first = page(tenant, status).scroll(PAGE_ROWS).await?;
        let bare = bare::page(&place.db, tenant.id, status, i64::from(PAGE_ROWS), None).await?;
        let ids: Vec<Uuid> = first.rows.iter().map(|row| row.id.as_uuid()).collect();
        let expected: Vec<Uuid> = bare.iter().map(|row| row.0).collect();
        if ids != expected {
            return Err("the first pages differ".into());
        }
        let cursor = first.next.ok_or("there is no next page")?;
        let next = page(tenant, status).scroll_after(cursor, PAGE_ROWS).await?;
        let last = bare.last().ok_or("the page is empty")?;
        let after = Some((last.4, last.0));
        let bare = bare::page(&place.db, tenant.id, status, i64::from(PAGE_ROWS), after).await?;
        let ids: Vec<Uuid> = next.rows.iter().map(|row| row.id.as_uuid()).collect();
        let expected: Vec<Uuid> = bare.iter().map(|row| row.0).collect();
        if ids != expected {
            return Err("the next pages differ".into());
        }
    }
    Ok(())
}

async fn ours(
    tenants: &[Tenant],
    pages: usize,
    facets: usize,
    times: &mut Times,
) -> Result<(), Box<dyn Error>> {
    let asked = || tenants.iter().zip(STATUSES.iter().cycle()).cycle();
    let mut cursors = Vec::with_capacity(pages);
    let began_at = Instant::now();
    for (tenant, status) in asked().take(pages) {
        let found = page(tenant, status).scroll(PAGE_ROWS).await?;
        cursors.push(found.next.ok_or("there is no next page")?);
    }
    times.page.ours.push(milliseconds_each(began_at, pages));

    let began_at = Instant::now();
    for ((tenant, status), cursor) in asked().zip(cursors) {
        let found = page(tenant, status).scroll_after(cursor, PAGE_ROWS).await?;
        if found.rows.is_empty() {
            return Err("a next page is empty".into());
        }
    }
    times.next.ours.push(milliseconds_each(began_at, pages));

    let began_at = Instant::now();
    for tenant in tenants.iter().cycle().take(facets) {
        let found = RowQuery::new(&tenant.invoices)
            .facets(["status", "country"])
            .scroll(1)
            .await?;
        if found.facets.len() != 2 {
            return Err("a facet is missing".into());
        }
    }
    times.facets.ours.push(milliseconds_each(began_at, facets));
    Ok(())
}

async fn hand_made(
    place: &Place,
    tenants: &[Tenant],
    pages: usize,
    facets: usize,
    times: &mut Times,
) -> Result<(), Box<dyn Error>> {
    // One more than the page, to know whether there is a next one, as ours asks for.
    let limit = i64::from(PAGE_ROWS + 1);
    let last_place = usize::try_from(PAGE_ROWS - 1)?;
    let asked = || tenants.iter().zip(STATUSES.iter().cycle()).cycle();
    let mut lasts = Vec::with_capacity(pages);
    let began_at = Instant::now();
    for (tenant, status) in asked().take(pages) {
        let found = bare::page(&place.db, tenant.id, status, limit, None).await?;
        let last = found.get(last_place).ok_or("there is no next page")?;
        lasts.push((last.4, last.0));
    }
    times.page.bare.push(milliseconds_each(began_at, pages));

    let began_at = Instant::now();
    for ((tenant, status), last) in asked().zip(lasts) {
        let found = bare::page(&place.db, tenant.id, status, limit, Some(last)).await?;
        if found.is_empty() {
            return Err("a next page is empty".into());
        }
    }
    times.next.bare.push(milliseconds_each(began_at, pages));

    let began_at = Instant::now();
    for tenant in tenants.iter().cycle().take(facets) {
        if bare::facets(&place.db, tenant.id).await?.is_empty() {
            return Err("the facets are empty".into());
        }
    }
    times.facets.bare.push(milliseconds_each(began_at, facets));
    Ok(())
}
