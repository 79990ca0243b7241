// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! Encrypted fields are sealed on the way in and opened on the way out, each for its place.

use forktex_db::{CipherErrorKind, DbError, Filter, Query, sqlx};
use uuid::Uuid;

use crate::models::{Invoice, Models, NewInvoice};

fn with_iban(number: i32, iban: &str) -> NewInvoice {
    NewInvoice {
        iban: Some(iban.to_owned()),
        ..NewInvoice::numbered(number)
    }
}

#[tokio::test]
async fn what_is_stored_is_sealed_for_table_column_row_and_organisation() {
    let models = Models::create().await;
    let (db, org) = (&models.db, Uuid::now_v7());
    let mut tx = db.begin().await.unwrap();
    let mut tx = tx.for_org(org).await.unwrap();
    let mut invoices = tx.repository::<Invoice>();
    let one = invoices.create(with_iban(1, "DE01")).await.unwrap();
    assert_eq!(one.iban.as_deref(), Some("DE01"));
    let many = invoices
        .create_many([with_iban(2, "DE02"), NewInvoice::numbered(3)])
        .await
        .unwrap();
    assert_eq!(many[0].iban.as_deref(), Some("DE02"));
    assert_eq!(many[1].iban, None);
    let upserted = invoices
        .upsert(many[1].id, with_iban(3, "DE03"))
        .await
        .unwrap();
    assert_eq!(upserted.iban.as_deref(), Some("DE03"));
    let set = invoices
        .set(one.id, [Invoice::iban().set("DE04".to_owned())])
        .await
        .unwrap();
    assert_eq!(set.iban.as_deref(), Some("DE04"));
    let mut changed = set.clone();
    changed.iban = Some("DE05".to_owned());
    let changed = invoices.update(&changed).await.unwrap();
    assert_eq!(invoices.get(one.id).await, Ok(changed));
    let without = invoices.list(Invoice::iban().is_null()).await.unwrap();
    assert_eq!(without, []);

    let stored: Vec<(Uuid, Vec<u8>)> = sqlx::query_as("SELECT id, iban FROM app.invoice")
        .fetch_all(tx.transaction().connection())
        .await
        .unwrap();
    assert_eq!(stored.len(), 3);
    for (id, sealed) in stored {
        let text = String::from_utf8(sealed).unwrap();
        let place = format!(
            "Place {{ table: \"app.invoice\", column: \"iban\", row: Some({id}), org: Some({org}) }}|"
        );
        assert!(text.starts_with(&place), "{text}");
        assert!(text.ends_with('"'), "the value is stored as JSON: {text}");
    }
}

#[tokio::test]
async fn a_moved_value_does_not_open() {
    let models = Models::create().await;
    let org = Uuid::now_v7();
    let mut tx = models.db.begin().await.unwrap();
    let mut tx = tx.for_org(org).await.unwrap();
    let mut invoices = tx.repository::<Invoice>();
    let one = invoices.create(with_iban(1, "DE01")).await.unwrap();
    let other = invoices.create(with_iban(2, "DE02")).await.unwrap();
    sqlx::query(
        "UPDATE app.invoice SET iban = (SELECT iban FROM app.invoice WHERE id = $1) WHERE id = $2",
    )
    .bind(one.id)
    .bind(other.id)
    .execute(tx.transaction().connection())
    .await
    .unwrap();
    let refused = tx.repository::<Invoice>().get(other.id).await.unwrap_err();
    let DbError::Sealed { column, cause } = &refused else {
        panic!("{refused:?}");
    };
    assert_eq!(
        (column.as_str(), cause.kind()),
        ("iban", CipherErrorKind::TamperedOrMoved)
    );
    assert!(!refused.to_string().contains("DE01"));
}

#[tokio::test]
async fn a_sealed_column_can_neither_be_compared_nor_written_for_many() {
    let models = Models::create().await;
    let mut tx = models.db.begin().await.unwrap();
    let mut tx = tx.for_org(Uuid::now_v7()).await.unwrap();
    let mut invoices = tx.repository::<Invoice>();
    let json = serde_json::json!({"field": "iban", "eq": "DE01"});
    let refused = invoices
        .list(Filter::from_json(&json).unwrap())
        .await
        .unwrap_err();
    assert!(
        refused
            .to_string()
            .contains("at `/eq`: the field `iban` is encrypted"),
        "{refused}"
    );
    let assignment = Invoice::iban().set("DE01".to_owned());
    let refused = invoices
        .set_all(Filter::all(), [assignment])
        .await
        .unwrap_err();
    assert!(
        refused.to_string().contains("for each row on its own"),
        "{refused}"
    );
    let refused = invoices
        .upsert_by(Invoice::number(), NewInvoice::numbered(1))
        .await;
    let refused = refused.unwrap_err();
    assert!(refused.to_string().contains("but by its id"), "{refused}");
}

#[tokio::test]
async fn without_a_cipher_nothing_is_written_in_the_clear() {
    let models = Models::create().await;
    let mut tx = models.owner.begin().await.unwrap();
    let mut tx = tx.for_org(Uuid::now_v7()).await.unwrap();
    let mut invoices = tx.repository::<Invoice>();
    let refused = invoices.create(with_iban(1, "DE01")).await.unwrap_err();
    assert!(
        refused
            .to_string()
            .contains("give it one with `DbOptions::cipher`"),
        "{refused}"
    );
    assert_eq!(invoices.list(Query::new()).await.unwrap(), []);
    assert!(
        invoices.create(NewInvoice::numbered(1)).await.is_ok(),
        "NULL needs no cipher"
    );
}
