// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! What the shop's handlers call: each function is one transaction on the rows of one organisation.

use forktex::db::{Cursor, Db, DbError, DbOptions, Filter, Page, Query};
use forktex::vault::{Key, RotationError, SealReport, Vault, rotate_blobs};
use serde::Deserialize;
use serde_json::Value;
use time::OffsetDateTime;
use uuid::Uuid;

use crate::models::{Client, Invoice, NewClient, NewInvoice};

/// What callers may filter invoices by. `iban` is encrypted and would be refused in any case.
const FILTERABLE: &[&str] = &["number", "cents", "paid_at", "created_at"];

/// Connects. Encrypted fields are sealed and opened by the vault; cursors are signed, so that callers
/// cannot make up their own.
pub(crate) async fn connect(url: &str, vault: Vault, cursor_secret: &[u8]) -> Result<Db, DbError> {
    let options = DbOptions::new().cipher(vault).cursor_key(cursor_secret);
    Db::connect(url, options).await
}

/// Adds a client with invoices: all of them, or none.
pub(crate) async fn add_client(
    db: &Db,
    org: Uuid,
    email: &str,
    invoices: impl IntoIterator<Item = (i32, i64, String)>,
) -> Result<Client, DbError> {
    let mut tx = db.begin().await?;
    let mut scope = tx.for_org(org).await?;
    let email = email.to_owned();
    let client = scope
        .repository::<Client>()
        .create(NewClient { email })
        .await?;
    let invoices = invoices
        .into_iter()
        .map(|(number, cents, iban)| NewInvoice {
            number,
            client_id: client.id,
            cents,
            paid_at: None,
            iban,
        });
    scope.repository::<Invoice>().create_many(invoices).await?;
    tx.commit().await?;
    Ok(client)
}

/// What a caller asks of the list of invoices, as JSON.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ListRequest {
    /// As [`Filter::from_json`] reads it.
    pub(crate) filter: Option<Value>,
    /// Where the page before ended.
    pub(crate) cursor: Option<Cursor>,
    pub(crate) limit: u32,
}

/// A page of the organisation's invoices, the dearest first. What is wrong with a request is said with
/// the path in its JSON.
pub(crate) async fn list(
    db: &Db,
    org: Uuid,
    request: ListRequest,
) -> Result<Page<Invoice>, DbError> {
    let filter = match &request.filter {
        Some(json) => Filter::from_json(json)?.only(FILTERABLE)?,
        None => Filter::all(),
    };
    let query = Query::new()
        .filter(filter)
        .sort(Invoice::cents().desc())
        .limit(request.limit)
        .after(request.cursor);
    db.for_org(org)
        .transaction(async |tx| {
            let mut scope = tx.for_org(org).await?;
            scope.repository::<Invoice>().page(query.clone()).await
        })
        .await
}

/// Notes that an invoice was paid, once: `AlreadyPaid` for the second caller, however close they come.
pub(crate) async fn pay(db: &Db, org: Uuid, invoice: Uuid) -> Result<Payment, DbError> {
    db.for_org(org)
        .transaction(async |tx| {
            let mut scope = tx.for_org(org).await?;
            let mut invoices = scope.repository::<Invoice>();
            // The second caller waits here, and then reads what the first has written.
            let mut found = invoices.get_for_update(invoice).await?;
            if found.paid_at.is_some() {
                return Ok(Payment::AlreadyPaid);
            }
            found.paid_at = Some(OffsetDateTime::now_utc());
            invoices.update(&found).await?;
            Ok(Payment::Noted)
        })
        .await
}

/// Saves an invoice that somebody has had before them for a while: `Conflict` if another has changed it
/// since they read it.
pub(crate) async fn save(db: &Db, org: Uuid, edited: &Invoice) -> Result<Invoice, DbError> {
    db.for_org(org)
        .transaction(async |tx| {
            let mut scope = tx.for_org(org).await?;
            scope.repository::<Invoice>().update(edited).await
        })
        .await
}

/// What became of a payment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Payment {
    Noted,
    AlreadyPaid,
}

/// Archives a client; another may then have the same address.
pub(crate) async fn archive_client(db: &Db, org: Uuid, client: Uuid) -> Result<(), DbError> {
    let mut tx = db.begin().await?;
    let mut scope = tx.for_org(org).await?;
    scope.repository::<Client>().archive(client).await?;
    tx.commit().await
}

/// Changes the key of every stored account while the shop goes on, and has the database refuse the old
/// one from then on. The role must own the table, and see all its rows.
pub(crate) async fn change_key(
    owner: &Db,
    old: &Key,
    new: &Key,
) -> Result<SealReport, RotationError> {
    rotate_blobs(owner, "shop.invoice", "iban")
        .from(old)
        .to(new)
        .org_column("org_id")
        .seal()
        .await
}
