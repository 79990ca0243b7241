// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! A CSV file into a register, against a bare COPY of the same rows and entries into the same tables.
//!
//! What is copied is what an import wrote before: taken out as text, under the keys of a second register
//! with the same fields. The server does the same work on both sides; ours reads, checks and builds it.

use std::error::Error;
use std::fmt::Write as _;
use std::time::Instant;

use forktex_data::{ImportFormat, Register, TenantData};
use forktex_db::sqlx::{self, Connection as _, PgConnection};
use futures_util::TryStreamExt as _;
use uuid::Uuid;

use crate::fixture::{self, Bench, Place, rate};
use crate::invoices::{self, CSV_HEADER, Invoice};
use crate::report::{Report, Sides};

const IMPORT: &str = "data.import";
const CREATE_MANY: &str = "data.create_many";

const IMPORT_BAR: f64 = 0.5;

/// The tables that rows and their entries are in.
const TABLES: [&str; 6] = [
    "row",
    "value_text",
    "value_number",
    "unique_value",
    "search_word",
    "search_trigram",
];

/// The columns of a table that are written; those that are generated are not.
const COLUMNS: &str = "
    SELECT attname::text FROM pg_catalog.pg_attribute
     WHERE attrelid = $1::regclass AND attnum > 0 AND NOT attisdropped AND attgenerated = ''
     ORDER BY attnum";

const REGISTER_KEY: &str =
    "SELECT key FROM forktex_data.register WHERE tenant_id = $1 AND name = $2";

/// The keys of the fields of two registers, those of one name together.
const FIELD_KEYS: &str = "
    SELECT a.key, b.key FROM forktex_data.field a
      JOIN forktex_data.field b ON b.name = a.name AND b.register_key = $2
     WHERE a.register_key = $1";

/// What is copied into one table.
struct Part {
    copy_in: String,
    bytes: Vec<u8>,
}

pub(crate) async fn measure(bench: &Bench) -> Result<Report, Box<dyn Error>> {
    let server = fixture::postgres().await?;
    let place = Place::create(&server).await?;
    let records = bench.records(100_000, 5_000);
    let mut csv = CSV_HEADER.to_owned();
    for n in 0..records {
        csv.push_str(&Invoice::numbered(n).line());
    }
    let mut sides = Sides::default();
    let mut created = Vec::new();
    for round in bench.rounds() {
        bench.progress(IMPORT, round, &format!("{records} rows on each side"));
        let org = Uuid::now_v7();
        let tenant = place.data.tenant(org);
        let imported = register(&tenant, "imported").await?;
        sides.ours.push(import(&imported, &csv, records).await?);
        let copied = register(&tenant, "copied").await?;
        let parts = parts(&place, org).await?;
        sides.bare.push(copy(&place, &parts, records).await?);
        let copied = forktex_data::RowQuery::new(&copied).count_rows().await?;
        if copied != u64::try_from(records)? {
            return Err(format!("{copied} rows were copied of {records}").into());
        }
        let made = register(&tenant, "made").await?;
        let began_at = Instant::now();
        invoices::fill(&made, 0..records).await?;
        created.push(rate(began_at, records));
    }
    let mut report = Report::default();
    report.note(
        CREATE_MANY,
        "rows put in by create_many of 10,000",
        forktex_testkit::figure::median(created),
        "rows/s",
    );
    report
        .figures
        .push(sides.at_least(IMPORT, "rows/s", IMPORT_BAR));
    Ok(report)
}

async fn register(tenant: &TenantData, name: &str) -> Result<Register, Box<dyn Error>> {
    Ok(tenant.create_register(invoices::definition(name)).await?)
}

/// Rows a second.
async fn import(register: &Register, csv: &str, records: usize) -> Result<f64, Box<dyn Error>> {
    let began_at = Instant::now();
    let report = register.import(ImportFormat::Csv, csv.as_bytes()).await?;
    let rate = rate(began_at, records);
    if report.created != u64::try_from(records)? {
        return Err(format!("{} rows were imported of {records}", report.created).into());
    }
    Ok(rate)
}

/// What the import wrote, under the keys of the register that is copied into.
async fn parts(place: &Place, org: Uuid) -> Result<Vec<Part>, Box<dyn Error>> {
    let mut connection = PgConnection::connect(place.administrator_url()).await?;
    let key =
        async |connection: &mut PgConnection, name: &'static str| -> Result<i64, sqlx::Error> {
            sqlx::query_scalar(REGISTER_KEY)
                .bind(org)
                .bind(name)
                .fetch_one(connection)
                .await
        };
    let from = key(&mut connection, "imported").await?;
    let to = key(&mut connection, "copied").await?;
    let fields: Vec<(i64, i64)> = sqlx::query_as(FIELD_KEYS)
        .bind(from)
        .bind(to)
        .fetch_all(&mut connection)
        .await?;
    let mut parts = Vec::new();
    for table in TABLES {
        parts.push(part(&mut connection, table, (from, to), &fields).await?);
    }
    Ok(parts)
}

async fn part(
    connection: &mut PgConnection,
    table: &str,
    (from, to): (i64, i64),
    fields: &[(i64, i64)],
) -> Result<Part, Box<dyn Error>> {
    let columns: Vec<String> = sqlx::query_scalar(COLUMNS)
        .bind(format!("forktex_data.{table}"))
        .fetch_all(&mut *connection)
        .await?;
    let keys: Vec<String> = fields.iter().map(|(old, _)| old.to_string()).collect();
    let mut new_key = "CASE field_key".to_owned();
    for (old, new) in fields {
        // A String takes all that is written to it.
        let _ = write!(new_key, " WHEN {old} THEN {new}");
    }
    new_key.push_str(" END");
    let value = |column: &String| match column.as_str() {
        "register_key" => to.to_string(),
        "field_key" => new_key.clone(),
        // The cells stay keyed by the fields of the import: they are as long as they would be.
        other => format!("\"{other}\""),
    };
    let values: Vec<String> = columns.iter().map(value).collect();
    let is_of_fields = columns.iter().any(|column| column == "field_key");
    let condition = if is_of_fields {
        format!("field_key IN ({})", keys.join(", "))
    } else {
        format!("register_key = {from}")
    };
    let copy_out = format!(
        "COPY (SELECT {} FROM forktex_data.{table} WHERE {condition}) TO STDOUT",
        values.join(", ")
    );
    let pieces = connection.copy_out_raw(&copy_out).await?;
    let bytes = pieces
        .try_fold(Vec::new(), |mut bytes: Vec<u8>, piece| async move {
            bytes.extend_from_slice(&piece);
            Ok(bytes)
        })
        .await?;
    let names: Vec<String> = columns
        .iter()
        .map(|column| format!("\"{column}\""))
        .collect();
    let copy_in = format!(
        "COPY forktex_data.{table} ({}) FROM STDIN",
        names.join(", ")
    );
    Ok(Part { copy_in, bytes })
}

/// Rows a second, all tables in one transaction. As the administrator: COPY knows no row-level security.
async fn copy(place: &Place, parts: &[Part], records: usize) -> Result<f64, Box<dyn Error>> {
    let mut connection = PgConnection::connect(place.administrator_url()).await?;
    let began_at = Instant::now();
    sqlx::raw_sql("BEGIN").execute(&mut connection).await?;
    for part in parts {
        let mut copy = connection.copy_in_raw(&part.copy_in).await?;
        copy.send(part.bytes.as_slice()).await?;
        copy.finish().await?;
    }
    sqlx::raw_sql("COMMIT").execute(&mut connection).await?;
    Ok(rate(began_at, records))
}
