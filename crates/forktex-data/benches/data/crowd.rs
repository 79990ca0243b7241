// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! One register among thousands: what the others cost it. A write sees the entries of its own register
//! only, and a plan is made without looking at the indexed fields of others.

use std::error::Error;
use std::time::Instant;

use forktex_data::{
    Data, DataError, Draft, FieldDefinition, Register, RegisterDefinition, RowQuery, field,
};
use forktex_db::sqlx::{self, PgConnection, Postgres as PostgresDriver, pool::PoolConnection};
use forktex_db::{Db, DbOptions};
use forktex_testkit::Postgres;
use forktex_testkit::figure::median;
use futures_util::{StreamExt as _, TryStreamExt as _};
use uuid::Uuid;

use crate::fixture::{self, Bench, Place, milliseconds_each, rate};
use crate::invoices::{self, Invoice};
use crate::planning::Statement;
use crate::report::{Report, Sides};

const INSERT: &str = "data.crowd_insert";
const PLANNING: &str = "data.crowd_planning";

const INSERT_BAR: f64 = 0.8;
const PLANNING_BAR: f64 = 2.0;

/// How many registers are made at the same time.
const MADE_AT_ONCE: usize = 8;

/// How many rows each register of the crowd has.
const ROWS_EACH: usize = 5;

/// How often one statement is planned for one value.
const PLANS: usize = 25;

/// A register that is measured, and a session that has prepared its query.
struct Subject {
    place: Place,
    register: Register,
    /// A pool of one, kept whole.
    _session_pool: Db,
    session: PoolConnection<PostgresDriver>,
    query: Statement,
    /// The number of the next row.
    next: usize,
}

pub(crate) async fn measure(bench: &Bench) -> Result<Report, Box<dyn Error>> {
    let server = fixture::postgres().await?;
    let (tenants, registers) = (bench.size(500, 20), bench.size(20, 5));
    let mut alone = Subject::create(bench, &server, async |_| Ok(())).await?;
    let mut among = Subject::create(bench, &server, async |place| {
        eprintln!("{INSERT}: {tenants} tenants with {registers} registers each");
        crowd(place, tenants, registers).await
    })
    .await?;
    let inserts = bench.size(1_000, 100);
    let (mut rates, mut plans) = (Sides::default(), Sides::default());
    for round in bench.rounds() {
        bench.progress(INSERT, round, &format!("{inserts} rows on each side"));
        if round % 2 == 0 {
            rates.ours.push(among.insert(inserts).await?);
            rates.bare.push(alone.insert(inserts).await?);
        } else {
            rates.bare.push(alone.insert(inserts).await?);
            rates.ours.push(among.insert(inserts).await?);
        }
        plans.bare.push(alone.plan().await?);
        plans.ours.push(among.plan().await?);
    }
    let mut report = Report::default();
    report.note(
        INSERT,
        "create_many of 1,000 among the crowd",
        among.insert_many().await?,
        "rows/s",
    );
    report.figures.extend([
        rates.at_least(INSERT, "rows/s", INSERT_BAR),
        plans.at_most(PLANNING, "ms", PLANNING_BAR),
    ]);
    Ok(report)
}

impl Subject {
    async fn create(
        bench: &Bench,
        server: &Postgres,
        surround: impl AsyncFnOnce(&Place) -> Result<(), Box<dyn Error>>,
    ) -> Result<Self, Box<dyn Error>> {
        let place = Place::create(server).await?;
        surround(&place).await?;
        let tenant = Uuid::now_v7();
        let register = invoices::create_register(&place.data.tenant(tenant)).await?;
        let rows = bench.size(20_000, 1_000);
        invoices::fill(&register, 0..rows).await?;
        place.settle().await?;

        let pool = Db::connect(place.url(), DbOptions::new().max_connections(1)).await?;
        let seen = Data::new(&pool)
            .tenant(tenant)
            .register(invoices::NAME)
            .await?;
        RowQuery::new(&seen)
            .filter(field("status").eq("paid"))
            .order_by("-issued_at")
            .scroll(50)
            .await?;
        let mut session = pool.pool().acquire().await?;
        let query = Statement::of_session(&mut session).await?;
        Ok(Self {
            place,
            register,
            _session_pool: pool,
            session,
            query,
            next: rows,
        })
    }

    /// Rows a second, one call each.
    async fn insert(&mut self, count: usize) -> Result<f64, DataError> {
        let rows = self.register.rows();
        let began_at = Instant::now();
        for n in self.next..self.next + count {
            rows.create(Invoice::numbered(n).draft()).await?;
        }
        self.next += count;
        Ok(rate(began_at, count))
    }

    async fn insert_many(&mut self) -> Result<f64, DataError> {
        let drafts = (self.next..self.next + 1_000).map(|n| Invoice::numbered(n).draft());
        let drafts = drafts.collect();
        self.next += 1_000;
        let began_at = Instant::now();
        self.register.rows().create_many(drafts).await?;
        Ok(rate(began_at, 1_000))
    }

    /// Milliseconds: the median of some plans, each made anew.
    async fn plan(&mut self) -> Result<f64, Box<dyn Error>> {
        analyze(&self.place).await?;
        let session: &mut PgConnection = &mut self.session;
        let mut times = Vec::with_capacity(PLANS);
        // The first one after an ANALYZE reads the catalogues anew.
        for _ in 0..=PLANS {
            times.push(self.query.planned(session).await?);
        }
        times.remove(0);
        Ok(median(times))
    }
}

async fn analyze(place: &Place) -> Result<(), sqlx::Error> {
    use sqlx::Executor as _;
    place.administrator.pool().execute("ANALYZE").await?;
    Ok(())
}

/// Registers of many tenants, each with rows; half of them with an indexed field.
async fn crowd(place: &Place, tenants: usize, registers: usize) -> Result<(), Box<dyn Error>> {
    let began_at = Instant::now();
    let making = (0..tenants).map(|_| async move {
        let tenant = place.data.tenant(Uuid::now_v7());
        for n in 0..registers {
            let name = FieldDefinition::text("name");
            let name = if n % 2 == 0 { name.indexed() } else { name };
            let definition = RegisterDefinition::new(format!("register_{n}"))
                .field(name)
                .field(FieldDefinition::integer("number"));
            let register = tenant.create_register(definition).await?;
            let drafts = (0..ROWS_EACH).map(|row| {
                let number = i64::try_from(row).unwrap_or_default();
                Draft::new()
                    .set("name", format!("row {row}"))
                    .set("number", number)
            });
            register.rows().create_many(drafts.collect()).await?;
        }
        Ok::<_, DataError>(())
    });
    futures_util::stream::iter(making)
        .buffer_unordered(MADE_AT_ONCE)
        .try_collect::<()>()
        .await?;
    eprintln!(
        "{INSERT}: a register made and filled in {:.2} ms",
        milliseconds_each(began_at, tenants * registers)
    );
    place.settle().await
}
