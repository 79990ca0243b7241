// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! Rows as JSON and as Rust types.

use serde_json::json;
use time::macros::{date, datetime};
use uuid::Uuid;

use super::*;

fn id(number: u128) -> RowId {
    RowId::from(Uuid::from_u128(number))
}

fn row(number: u128) -> Row {
    let created = datetime!(2026-01-31 13:45 UTC);
    Row::new(id(number), 3, created, created)
}

#[test]
fn cells_are_found_by_name_in_their_three_states() {
    let mut row = row(1);
    row.insert_cell("a", Cell::Value(Value::from("x")));
    row.insert_cell("b", Cell::Null);
    row.insert_cell("c", Cell::Absent);
    assert_eq!(row.get("a"), Some(&Value::from("x")));
    assert_eq!(row.get("b"), None);
    assert_eq!(row.cell("b"), Cell::Null);
    assert_eq!(row.cell("c"), Cell::Absent);
    assert_eq!(row.cell("nowhere"), Cell::Absent);
    assert_eq!(row.cells().len(), 2);
}

#[test]
fn a_row_is_one_flat_object() {
    let mut row = row(1);
    row.external_ref = Some("x-1".to_owned());
    row.insert_cell("issued_on", Cell::Value(Value::from(date!(2026 - 01 - 31))));
    row.insert_cell("note", Cell::Null);
    row.insert_cell("extra", Cell::Value(Value::from(json!({"a": null}))));
    row.set_references("client", vec![id(2)], false);
    row.set_references("seller", vec![], false);
    row.set_references("tags", vec![id(3)], true);
    assert_eq!(
        serde_json::to_value(&row).unwrap(),
        json!({
            "id": id(1).to_string(),
            "version": 3,
            "created_at": "2026-01-31T13:45:00.000000Z",
            "updated_at": "2026-01-31T13:45:00.000000Z",
            "external_ref": "x-1",
            "issued_on": "2026-01-31",
            "note": null,
            "extra": {"a": null},
            "client": id(2).to_string(),
            "seller": null,
            "tags": [id(3).to_string()],
        })
    );
    assert_eq!(row.references("client"), [id(2)]);
    assert!(row.references("nowhere").is_empty());
}

#[test]
fn related_rows_stand_in_place_of_their_ids() {
    let (mut invoice, mut client) = (row(1), row(2));
    client.insert_cell("name", Cell::Value(Value::from("Acme")));
    invoice.set_references("client", vec![id(2)], false);
    invoice.set_related("client", vec![client], false);
    invoice.set_related("lines", vec![], true);
    let json = invoice.to_json();
    assert_eq!(json["client"]["name"], "Acme");
    assert_eq!(json["lines"], json!([]));
    assert_eq!(invoice.related("client").len(), 1);
    assert!(invoice.related("nowhere").is_empty());
}

#[test]
fn a_row_is_read_as_a_type() {
    #[derive(serde::Deserialize, Debug)]
    struct Invoice {
        id: RowId,
        status: String,
        net: rust_decimal::Decimal,
        note: Option<String>,
    }

    let mut row = row(1);
    row.insert_cell("status", Cell::Value(Value::from("paid")));
    let missing = row.decode::<Invoice>().unwrap_err();
    assert!(
        missing.to_string().contains("missing field `net`"),
        "{missing}"
    );
    row.insert_cell("net", Cell::Value(Value::from("hunter2")));
    let wrong = row.decode::<Invoice>().unwrap_err();
    assert!(!format!("{wrong} {wrong:?}").contains("hunter2"));
    row.insert_cell(
        "net",
        Cell::Value(Value::from(rust_decimal::Decimal::new(1250, 2))),
    );
    let invoice: Invoice = row.decode().unwrap();
    assert_eq!((invoice.id, invoice.status.as_str()), (id(1), "paid"));
    assert_eq!(invoice.net.to_string(), "12.50");
    assert_eq!(invoice.note, None);
}
