// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! Reads what look-ups show: cells of the one row at the other end of a relationship. An archived row is
//! shown as any other, since a reference to it still stands.

use std::collections::BTreeMap;

use forktex_db::Transaction;
use forktex_db::sqlx::{self, Row as _};
use serde_json::Value as Json;
use uuid::Uuid;

use super::rule::Rule;
use crate::cell::Cell;
use crate::error::DataError;
use crate::keys::FieldKey;
use crate::register::LoadedRegister;
use crate::relationship::Direction;
use crate::value::Value;

/// Values of computed fields, by row and field.
pub(super) type Found = BTreeMap<Uuid, BTreeMap<FieldKey, Value>>;

/// Cells of the rows that sources lead to, in the order of the keys. $1: the relationship; $2: sources;
/// $3: keys of fields, as text. Indexes: the primary keys of link and row.
const FORWARD: &str = "\
SELECT l.source_id AS id, (SELECT jsonb_agg(r.cells->k.key ORDER BY k.place) \
FROM unnest($3::text[]) WITH ORDINALITY AS k (key, place)) AS cells \
FROM forktex_data.link AS l \
JOIN forktex_data.row AS r ON r.register_key = l.target_register_key AND r.id = l.target_id \
WHERE l.relationship_key = $1 AND l.source_id = ANY($2)";

/// The same for targets. Index: `link_by_target`.
const BACKWARD: &str = "\
SELECT l.target_id AS id, (SELECT jsonb_agg(r.cells->k.key ORDER BY k.place) \
FROM unnest($3::text[]) WITH ORDINALITY AS k (key, place)) AS cells \
FROM forktex_data.link AS l \
JOIN forktex_data.row AS r ON r.register_key = l.source_register_key AND r.id = l.source_id \
WHERE l.relationship_key = $1 AND l.target_id = ANY($2)";

/// Reads the look-ups of one path for some rows. One round trip.
pub(super) async fn read(
    tx: &mut Transaction,
    rules: &[&Rule<'_>],
    other: &LoadedRegister,
    ids: &[Uuid],
    found: &mut Found,
) -> Result<(), DataError> {
    let Some(first) = rules.first() else {
        return Ok(());
    };
    let statement = match first.path.direction {
        Direction::Forward => FORWARD,
        Direction::Backward => BACKWARD,
    };
    let reads: Vec<_> = rules
        .iter()
        .filter_map(|rule| Some((rule.field.key, other.field(rule.read_name?)?)))
        .collect();
    let keys: Vec<String> = reads.iter().map(|(_, read)| read.key.to_string()).collect();
    let rows = sqlx::query(statement)
        .bind(first.path.relationship.key.0)
        .bind(ids)
        .bind(keys)
        .fetch_all(tx.connection())
        .await?;
    for row in &rows {
        let cells: Option<Json> = row.try_get("cells")?;
        let cells = cells.as_ref().and_then(Json::as_array);
        let values = found.entry(row.try_get("id")?).or_default();
        for ((field, read), cell) in reads.iter().zip(cells.into_iter().flatten()) {
            let value = Value::from_cell_json(read.kind, cell).and_then(Cell::into_value);
            values.extend(value.map(|value| (*field, value)));
        }
    }
    Ok(())
}
