// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! Numbers without gaps: each new row gets the next one, and one that was not written leaves no hole.
//!
//! Races that are closed here:
//! - **Two rows that want a number at once.** The counter's row is locked until the transaction ends, so
//!   they get theirs one after another. This is the price of having no gaps: rows of one register that
//!   are created at the same time wait for each other. The counter is therefore taken as late as can be,
//!   after all checks that need no database.
//! - **A row that is rolled back.** The counter is part of the same transaction, and goes back with it;
//!   the next one gets the same number.
//! - **A field that was added a moment ago.** The counter is made by whoever comes first; the other one
//!   waits for it and counts on.

use std::collections::BTreeMap;

use forktex_db::Transaction;
use forktex_db::sqlx::{self, Row as _};
use uuid::Uuid;

use crate::cell::Cell;
use crate::computed::Cells;
use crate::error::DataError;
use crate::field_type::FieldType;
use crate::keys::FieldKey;
use crate::register::LoadedRegister;
use crate::value::Value;

/// Takes $3 numbers for each field of $1, for the tenant $2, and gives the first of each. Locks: counter,
/// in the order of the fields, which the caller has sorted.
const TAKE_NUMBERS: &str = "\
INSERT INTO forktex_data.counter AS c (field_key, tenant_id, next) \
SELECT f.field_key, $2, $3 + 1 FROM unnest($1::bigint[]) AS f (field_key) \
ON CONFLICT (field_key) DO UPDATE SET next = c.next + $3 \
RETURNING c.field_key, c.next - $3 AS first";

/// The fields of a register that are numbered, in the order in which their counters are locked.
pub(crate) fn fields(register: &LoadedRegister) -> Vec<FieldKey> {
    let mut keys: Vec<FieldKey> = register
        .fields
        .iter()
        .filter(|field| matches!(field.definition.field_type, FieldType::Number))
        .map(|field| field.key)
        .collect();
    keys.sort_unstable();
    keys
}

/// Takes as many numbers for each of these fields, and gives the first of each. One round trip. The
/// register must be held, so that its fields stay what they are.
pub(crate) async fn take(
    tx: &mut Transaction,
    tenant: Uuid,
    fields: &[FieldKey],
    count: usize,
) -> Result<BTreeMap<FieldKey, i64>, DataError> {
    let count = i64::try_from(count).unwrap_or(i64::MAX);
    let keys: Vec<i64> = fields.iter().map(|key| key.0).collect();
    let taken = sqlx::query(TAKE_NUMBERS)
        .bind(keys)
        .bind(tenant)
        .bind(count)
        .fetch_all(tx.connection())
        .await?;
    let mut first = BTreeMap::new();
    for row in &taken {
        first.insert(FieldKey(row.try_get("field_key")?), row.try_get("first")?);
    }
    Ok(first)
}

/// Fills in the numbers of the row at this place of a batch.
pub(crate) fn fill(cells: &mut Cells, first: &BTreeMap<FieldKey, i64>, place: usize) {
    let place = i64::try_from(place).unwrap_or(i64::MAX);
    for (field, first) in first {
        let number = first.saturating_add(place);
        cells.insert(*field, Cell::Value(Value::Integer(number)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rows_of_a_batch_count_on_from_the_first_number() {
        let first = BTreeMap::from([(FieldKey(7), 41), (FieldKey(9), 1)]);
        let mut cells = Cells::new();
        fill(&mut cells, &first, 1);
        assert_eq!(
            cells.get(&FieldKey(7)),
            Some(&Cell::Value(Value::Integer(42)))
        );
        assert_eq!(
            cells.get(&FieldKey(9)),
            Some(&Cell::Value(Value::Integer(2)))
        );
    }
}
