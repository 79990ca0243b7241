// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! The typed table that somebody would make by hand: a column for each field, an index for each indexed
//! one, led by the tenant, and row-level security.

use std::error::Error;

use forktex_db::{Db, DbError, sqlx};
use sqlx::Executor as _;
use time::{Date, OffsetDateTime};
use uuid::Uuid;

/// Laid by the owner; the application's role may use it.
const TABLE: &str = r#"
    CREATE SCHEMA bare;
    CREATE TABLE bare.invoice (
        id          uuid PRIMARY KEY,
        org_id      uuid NOT NULL,
        status      text COLLATE "C" NOT NULL,
        country     text COLLATE "C" NOT NULL,
        total       numeric NOT NULL,
        issued_at   date NOT NULL,
        customer    text COLLATE "C" NOT NULL,
        note        text COLLATE "C" NULL,
        version     bigint NOT NULL,
        updated_at  timestamptz NOT NULL,
        archived_at timestamptz NULL
    );
    CREATE INDEX invoice_status ON bare.invoice (org_id, status, id);
    CREATE INDEX invoice_country ON bare.invoice (org_id, country, id);
    CREATE INDEX invoice_total ON bare.invoice (org_id, total, id);
    CREATE INDEX invoice_issued_at ON bare.invoice (org_id, issued_at, id);
    ALTER TABLE bare.invoice ENABLE ROW LEVEL SECURITY;
    CREATE POLICY org ON bare.invoice
        USING (org_id = nullif(current_setting('forktex.org_id', true), '')::uuid);
"#;

/// The same rows as those of the registers, under the same ids.
const FILL: &str = "
    WITH names AS (
        SELECT register_key,
               max(key) FILTER (WHERE name = 'status')::text AS status,
               max(key) FILTER (WHERE name = 'country')::text AS country,
               max(key) FILTER (WHERE name = 'total')::text AS total,
               max(key) FILTER (WHERE name = 'issued_at')::text AS issued_at,
               max(key) FILTER (WHERE name = 'customer')::text AS customer,
               max(key) FILTER (WHERE name = 'note')::text AS note
          FROM forktex_data.field
         GROUP BY register_key
    )
    INSERT INTO bare.invoice
    SELECT r.id, r.tenant_id, r.cells->>n.status, r.cells->>n.country, (r.cells->>n.total)::numeric,
           (r.cells->>n.issued_at)::date, r.cells->>n.customer, r.cells->>n.note, r.version,
           r.updated_at, r.archived_at
      FROM forktex_data.row r
      JOIN names n USING (register_key)";

const PAGE: &str = "
    SELECT id, status, country, total::text, issued_at, customer, note, version, updated_at
      FROM bare.invoice
     WHERE org_id = $1 AND status = $2 AND archived_at IS NULL
     ORDER BY issued_at DESC, id DESC
     LIMIT $3";

const NEXT_PAGE: &str = "
    SELECT id, status, country, total::text, issued_at, customer, note, version, updated_at
      FROM bare.invoice
     WHERE org_id = $1 AND status = $2 AND archived_at IS NULL AND (issued_at, id) < ($4, $5)
     ORDER BY issued_at DESC, id DESC
     LIMIT $3";

const FACETS: &str = "
    SELECT status, country, count(*)
      FROM bare.invoice
     WHERE org_id = $1 AND archived_at IS NULL
     GROUP BY GROUPING SETS ((status), (country))";

/// A row of the table.
pub(crate) type Invoice = (
    Uuid,
    String,
    String,
    String,
    Date,
    String,
    Option<String>,
    i64,
    OffsetDateTime,
);

/// A value of one of the two columns, and how often it is there.
pub(crate) type Counted = (Option<String>, Option<String>, i64);

pub(crate) async fn lay(owner: &Db) -> Result<(), sqlx::Error> {
    owner.pool().execute(TABLE).await?;
    Ok(())
}

/// Copies what is in the registers, as the server's administrator.
pub(crate) async fn fill(administrator: &Db) -> Result<u64, sqlx::Error> {
    let filled = administrator.pool().execute(FILL).await?;
    administrator
        .pool()
        .execute("VACUUM ANALYZE bare.invoice")
        .await?;
    Ok(filled.rows_affected())
}

/// One page of a tenant's invoices with a status, the latest first; the next one where the last row of
/// the page before is given.
pub(crate) async fn page(
    db: &Db,
    org: Uuid,
    status: &str,
    rows: i64,
    after: Option<(Date, Uuid)>,
) -> Result<Vec<Invoice>, DbError> {
    db.for_org(org)
        .transaction(async |tx| -> Result<Vec<Invoice>, DbError> {
            let asked = match after {
                None => sqlx::query_as(PAGE).bind(org).bind(status).bind(rows),
                Some((issued_at, id)) => sqlx::query_as(NEXT_PAGE)
                    .bind(org)
                    .bind(status)
                    .bind(rows)
                    .bind(issued_at)
                    .bind(id),
            };
            Ok(asked.fetch_all(tx.connection()).await?)
        })
        .await
}

/// How many rows of a tenant have which status, and which country.
pub(crate) async fn facets(db: &Db, org: Uuid) -> Result<Vec<Counted>, Box<dyn Error>> {
    let counted = db
        .for_org(org)
        .transaction(async |tx| -> Result<Vec<Counted>, DbError> {
            let asked = sqlx::query_as(FACETS).bind(org);
            Ok(asked.fetch_all(tx.connection()).await?)
        })
        .await?;
    Ok(counted)
}
