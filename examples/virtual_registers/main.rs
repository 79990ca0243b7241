// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! One query, three sources: an API of another company, a computation, and a table of the service.
//!
//! `virtual_registers` plays it on a throwaway Postgres and an API that it serves itself, and checks that
//! all three answer alike, and that none answers from a part of its rows. To copy: `sources`.

mod api;
mod client;
mod sources;

use std::error::Error;
use std::io::{self, Write as _};
use std::process::ExitCode;

use forktex::data::{
    Aggregate, Count, Data, DataError, Draft, FieldDefinition, QueryResult, Register, RowQuery,
    Value, VirtualError, field,
};
use forktex::db::{Db, DbError, DbOptions, Migration, Migrator, sqlx};
use forktex_testkit::TestDatabase;
use tracing_subscriber::EnvFilter;
use uuid::Uuid;

use api::Api;
use client::{CLIENTS, clients};
use sources::{ComputedClients, RemoteClients, table_of_clients};

type Outcome<T = ()> = Result<T, Box<dyn Error>>;

const MIGRATIONS: [Migration; 1] = [Migration::new(1, "clients", include_str!("schema.sql"))];

const ADD_CLIENT: &str =
    "INSERT INTO shop.client (id, org_id, name, country, cents) VALUES ($1, $2, $3, $4, $5)";

#[tokio::main]
async fn main() -> ExitCode {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("error"));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(io::stderr)
        .init();
    match run().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(io::stderr(), "virtual_registers: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn run() -> Outcome {
    let database = TestDatabase::create().await?;
    let (north, south) = (Uuid::now_v7(), Uuid::now_v7());
    lay_tables(&database).await?;
    let db = Db::connect(database.url(), DbOptions::new()).await?;
    add_clients(&db, north).await?;
    let api = Api::serve(north).await?;
    let data = Data::builder(&db)
        .virtual_register("remote_clients", RemoteClients::new(api.address, 1_000))
        .virtual_register("few_clients", RemoteClients::new(api.address, 20))
        .virtual_register("computed_clients", ComputedClients { org: north })
        .bound_register(table_of_clients())
        .build()?;

    same_answers(&data, north).await?;
    little_is_read(&data, north, &api).await?;
    never_a_part(&data, north).await?;
    other_organisations(&data, south).await?;
    extended(&data, north).await?;
    db.close().await;
    say("virtual_registers: ok")
}

async fn lay_tables(database: &TestDatabase) -> Outcome {
    let owner = Db::connect(database.owner_url(), DbOptions::new()).await?;
    Data::new(&owner).migrate().await?;
    Migrator::new("shop", &MIGRATIONS).run(&owner).await?;
    owner.close().await;
    Ok(())
}

/// What the service's own code does.
async fn add_clients(db: &Db, org: Uuid) -> Outcome {
    db.transaction(async |tx| -> Result<(), DbError> {
        for client in clients() {
            sqlx::query(ADD_CLIENT)
                .bind(client.id)
                .bind(org)
                .bind(client.name)
                .bind(client.country)
                .bind(client.revenue)
                .execute(tx.connection())
                .await?;
        }
        Ok(())
    })
    .await?;
    Ok(())
}

/// The registers of which each has all the clients.
async fn registers(data: &Data, org: Uuid) -> Result<Vec<Register>, DataError> {
    let tenant = data.tenant(org);
    Ok(vec![
        tenant.register("remote_clients").await?,
        tenant.register("computed_clients").await?,
        tenant.register("table_clients").await?,
    ])
}

/// The one query, whichever register it is about.
fn query(register: &Register) -> RowQuery {
    RowQuery::new(register)
        .filter(field("revenue").gte(200) & !field("country").eq("CH"))
        .order_by("-revenue")
        .order_by("country")
}

async fn same_answers(data: &Data, org: Uuid) -> Outcome {
    let mut answers = Vec::new();
    for register in registers(data, org).await? {
        let counted = query(&register)
            .facets(["country"])
            .aggregate(Aggregate::sum("revenue"))
            .count(Count::Exact)
            .scroll(5)
            .await?;
        let mut pages = vec![shown(&counted)];
        let mut next = counted.next.clone();
        while let Some(cursor) = next {
            let page = query(&register).scroll_after(cursor, 5).await?;
            pages.push(shown(&page));
            next = page.next;
        }
        let found = RowQuery::new(&register)
            .search("nowhere")
            .page(1, 100)
            .await?;
        pages.push(shown(&found));
        let facets = format!("{:?}", counted.facets);
        let sums = format!("{:?} {:?}", counted.aggregates, counted.total);
        say(format_args!("{}: {} pages", register.name(), pages.len()))?;
        answers.push((pages, facets, sums));
    }
    let first = answers.first().ok_or("there is no register")?;
    check(
        answers.iter().all(|answer| answer == first),
        "rows, ties, pages, facets and sums are the same from each source",
    )
}

/// The rows of a page by their ids and names, as text.
fn shown(result: &QueryResult) -> Vec<String> {
    let rows = result.rows.iter();
    rows.map(|row| format!("{} {:?}", row.id, row.get("name")))
        .collect()
}

/// The API sorts and filters, so that the first rows are had from its first page.
async fn little_is_read(data: &Data, org: Uuid, api: &Api) -> Outcome {
    let remote = data.tenant(org).register("remote_clients").await?;
    api.requests();
    let dearest = RowQuery::new(&remote)
        .filter(field("revenue").gte(100))
        .order_by("-revenue")
        .scroll(3)
        .await?;
    let revenues: Vec<_> = dearest
        .rows
        .iter()
        .filter_map(|row| row.get("revenue").and_then(Value::as_integer))
        .collect();
    check(revenues == [900, 900, 900], "the dearest come first")?;
    check(api.requests() == 1, "one page of the API was enough")?;
    let all = RowQuery::new(&remote).count_rows().await?;
    let pages = api.requests();
    let clients = u64::try_from(CLIENTS)?;
    check(all == clients && pages == 4, "a count reads all four pages")
}

async fn never_a_part(data: &Data, org: Uuid) -> Outcome {
    let few = data.tenant(org).register("few_clients").await?;
    let refused = RowQuery::new(&few).order_by("name").page(1, 10).await;
    check(
        matches!(
            refused,
            Err(DataError::Virtual {
                source: VirtualError::TooManyRows { rows_max: 20 },
                ..
            })
        ),
        "more rows than may be held are an error, not a part of the answer",
    )
}

async fn other_organisations(data: &Data, org: Uuid) -> Outcome {
    for register in registers(data, org).await? {
        let rows = RowQuery::new(&register).page(1, 10).await?.rows;
        check(rows.is_empty(), "another organisation has no clients")?;
    }
    Ok(())
}

/// The organisation adds a field of its own to the rows of the table.
async fn extended(data: &Data, org: Uuid) -> Outcome {
    let clients = data.tenant(org).register("table_clients").await?;
    let clients = clients.add_field(FieldDefinition::text("nickname")).await?;
    let row = RowQuery::new(&clients).order_by("name").first().await?;
    let row = row.ok_or("there is no client")?;
    let draft = Draft::new().set("nickname", "the first");
    clients.rows().patch(row.id, draft).await?;
    let named = RowQuery::new(&clients)
        .filter(field("nickname").starts_with("the"))
        .page(1, 10)
        .await?;
    let ids: Vec<_> = named.rows.iter().map(|row| row.id).collect();
    check(ids == [row.id], "an added field is asked like a column")?;
    let draft = Draft::new().set("name", "another");
    let refused = clients.rows().patch(row.id, draft).await;
    check(
        matches!(refused, Err(DataError::Row { .. })),
        "the columns of the table are read-only",
    )
}

fn check(holds: bool, what: &'static str) -> Outcome {
    if !holds {
        return Err(format!("this does not hold: {what}").into());
    }
    say(format_args!("- {what}"))
}

fn say(line: impl std::fmt::Display) -> Outcome {
    writeln!(io::stdout(), "{line}")?;
    Ok(())
}
