// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! The show: two organisations on one database, each step told and checked.

use std::error::Error;
use std::io::{self, Write as _};

use forktex::db::{Db, DbError, Page, sqlx};
use forktex::vault::{Key, Vault};
use forktex_testkit::TestDatabase;
use serde_json::json;
use uuid::Uuid;

use crate::models::{self, Client, Invoice};
use crate::service::{self, ListRequest, Payment};

type Outcome<T = ()> = Result<T, Box<dyn Error>>;

const CURSOR_SECRET: &[u8] = b"a secret of the service, not of this example";

/// Plays it on a throwaway Postgres.
pub(crate) async fn run() -> Outcome {
    let database = TestDatabase::create().await?;
    let (old, new) = (Key::generate()?, Key::generate()?);
    let vault = Vault::from_key(&old);
    let owner = service::connect(database.owner_url(), vault.clone(), CURSOR_SECRET).await?;
    models::migrate(&owner).await?;
    let report = owner.check_schema().await?;
    say(format_args!("schema: {}", report.to_string().trim_end()))?;
    check(report.is_sound(), "the tables fit the models")?;

    let db = service::connect(database.url(), vault, CURSOR_SECRET).await?;
    let (north, south) = (Uuid::now_v7(), Uuid::now_v7());
    let clients = tenants(&db, north, south).await?;
    lists(&db, north).await?;
    payments(&db, north, south).await?;
    archiving(&db, north, &clients).await?;
    keys(&db, &owner, &database, north, &old, &new).await?;
    db.close().await;
    owner.close().await;
    say("tenant_shop: ok")
}

/// Both organisations have a client of the same address, and invoices of the same numbers.
async fn tenants(db: &Db, north: Uuid, south: Uuid) -> Outcome<Client> {
    let invoices = |iban: &'static str| {
        (1..=5).map(move |number| (number, i64::from(number % 3) * 1_000, iban.to_owned()))
    };
    let client = service::add_client(db, north, "ada@example.com", invoices("DE01")).await?;
    service::add_client(db, south, "ada@example.com", invoices("AT02")).await?;

    let again = service::add_client(db, north, "ada@example.com", []).await;
    check(
        matches!(again, Err(DbError::AlreadyExists { .. })),
        "an address is taken within one organisation",
    )?;
    let mut tx = db.begin().await?;
    let sought = tx
        .for_org(south)
        .await?
        .repository::<Client>()
        .get(client.id)
        .await;
    check(
        sought.err() == Some(DbError::NotFound),
        "an id of another organisation finds nothing",
    )?;
    let mut tx = db.begin().await?;
    let seen: i64 = sqlx::query_scalar("SELECT count(*) FROM shop.client")
        .fetch_one(tx.connection())
        .await?;
    check(seen == 0, "SQL that forgets the organisation sees no row")?;
    Ok(client)
}

/// A list of five rows with ties, in pages of two.
async fn lists(db: &Db, org: Uuid) -> Outcome {
    let ask = async |filter, cursor| -> Result<Page<Invoice>, DbError> {
        let request = ListRequest {
            filter: Some(filter),
            cursor,
            limit: 2,
        };
        service::list(db, org, request).await
    };
    let (mut cursor, mut numbers) = (None, Vec::new());
    loop {
        let page = ask(json!({"field": "number", "gte": 1}), cursor).await?;
        numbers.extend(page.items.iter().map(|invoice| invoice.number));
        cursor = page.next_cursor;
        if cursor.is_none() {
            break;
        }
    }
    check(numbers.len() == 5, "the pages have each invoice once")?;
    say(format_args!("the dearest first: {numbers:?}"))?;
    for filter in [
        json!({"field": "iban", "eq": "DE01"}),
        json!({"and": [{"field": "number", "gte": "one"}]}),
    ] {
        let Err(refused) = ask(filter, None).await else {
            return Err("a bad filter was taken".into());
        };
        say(format_args!("refused: {refused}"))?;
    }
    Ok(())
}

/// An invoice is paid by two callers at once.
async fn payments(db: &Db, north: Uuid, south: Uuid) -> Outcome {
    let request = ListRequest {
        filter: None,
        cursor: None,
        limit: 1,
    };
    let page = service::list(db, north, request).await?;
    let before = page.items.first().ok_or("there is no invoice")?;
    let invoice = before.id;
    let (one, other) = tokio::try_join!(
        service::pay(db, north, invoice),
        service::pay(db, north, invoice)
    )?;
    let noted = [one, other]
        .into_iter()
        .filter(|paid| *paid == Payment::Noted);
    check(noted.count() == 1, "of two payments at once, one is noted")?;
    let late = service::save(db, north, before).await;
    check(
        matches!(late, Err(DbError::Conflict { .. })),
        "an edit of what was read before the payment does not undo it",
    )?;
    let foreign = service::pay(db, south, invoice).await;
    check(
        foreign == Err(DbError::NotFound),
        "nobody pays the invoices of another organisation",
    )
}

async fn archiving(db: &Db, org: Uuid, client: &Client) -> Outcome {
    service::archive_client(db, org, client.id).await?;
    let successor = service::add_client(db, org, &client.email, []).await?;
    check(
        successor.id != client.id,
        "the address of an archived client is free again",
    )
}

/// The key is changed while the shop is open.
async fn keys(
    db: &Db,
    owner: &Db,
    database: &TestDatabase,
    org: Uuid,
    old: &Key,
    new: &Key,
) -> Outcome {
    let sealed = service::change_key(owner, old, new).await?;
    say(format_args!("{sealed}"))?;
    let vault = Vault::from_key(new);
    let after = service::connect(database.url(), vault, CURSOR_SECRET).await?;
    let request = ListRequest {
        filter: None,
        cursor: None,
        limit: 10,
    };
    let page = service::list(&after, org, request).await?;
    check(
        page.items.iter().all(|invoice| invoice.iban == "DE01"),
        "every account opens under the new key",
    )?;
    let late = [(6, 100, "DE03".to_owned())];
    let refused = service::add_client(db, org, "late@example.com", late).await;
    check(
        matches!(refused, Err(DbError::Invalid { .. })),
        "a process that still seals under the old key is refused",
    )?;
    after.close().await;
    Ok(())
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
