// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! How many rows match: counted, or as the planner of the database expects.

use forktex_db::Transaction;
use forktex_db::sqlx::Row as _;
use serde_json::Value as Json;

use crate::error::DataError;
use crate::result::Total;

use super::Count;
use super::plan::CheckedQuery;
use super::sql::{RowSource, Selection, SqlWriter};

/// One statement; none where no count is wanted.
pub(super) async fn read(
    tx: &mut Transaction,
    source: &dyn RowSource,
    query: &CheckedQuery,
) -> Result<Option<Total>, DataError> {
    let total = match query.count {
        Count::None => return Ok(None),
        Count::Exact => {
            let statement = write_exact(source, query).statement()?;
            let row = statement.fetch_one(tx.connection()).await?;
            Total::exact(unsigned(row.try_get("hits")?))
        }
        Count::Estimated => {
            let statement = write_estimated(source, query).statement()?;
            let row = statement.fetch_one(tx.connection()).await?;
            let plan: Json = row.try_get(0)?;
            Total::estimated(expected_rows(&plan))
        }
    };
    Ok(Some(total))
}

fn write_exact(source: &dyn RowSource, query: &CheckedQuery) -> SqlWriter {
    let mut writer = SqlWriter::new("SELECT count(*) AS hits");
    Selection::unsorted(source, query).write(&mut writer);
    writer
}

fn write_estimated(source: &dyn RowSource, query: &CheckedQuery) -> SqlWriter {
    let mut writer = SqlWriter::new("EXPLAIN (FORMAT JSON)\nSELECT 1");
    Selection::unsorted(source, query).write(&mut writer);
    writer
}

/// What the topmost node of a plan expects.
fn expected_rows(plan: &Json) -> u64 {
    plan.pointer("/0/Plan/Plan Rows")
        .and_then(Json::as_u64)
        .unwrap_or(0)
}

/// The database counts in signed numbers.
pub(super) fn unsigned(count: i64) -> u64 {
    u64::try_from(count).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_plan_says_how_many_rows_it_expects() {
        let plan = json!([{"Plan": {"Node Type": "Seq Scan", "Plan Rows": 1234}}]);
        assert_eq!(expected_rows(&plan), 1_234);
        assert_eq!(expected_rows(&json!([])), 0);
        assert_eq!(unsigned(-1), 0);
    }
}
