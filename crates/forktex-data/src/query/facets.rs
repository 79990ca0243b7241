// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! Facets: how often each value of some fields is among the matching rows, all fields in one pass.

use std::collections::BTreeMap;

use forktex_db::Transaction;
use forktex_db::sqlx::Row as _;

use crate::error::DataError;
use crate::filter::check::Column;
use crate::limits::FACET_VALUES_MAX;
use crate::result::FacetValue;

use super::aggregates::value_from_text;
use super::count::unsigned;
use super::plan::CheckedQuery;
use super::sql::{RowSource, Selection, SqlWriter};

/// One statement; none without facets. The most frequent values come first, those that are equally
/// frequent by value.
pub(super) async fn read(
    tx: &mut Transaction,
    source: &dyn RowSource,
    query: &CheckedQuery,
) -> Result<BTreeMap<String, Vec<FacetValue>>, DataError> {
    let register = source.register();
    let places = query.facets.iter();
    let names = places.map(|place| Column::Field(*place).name(register).to_owned());
    let mut facets: BTreeMap<String, Vec<FacetValue>> =
        names.map(|name| (name, Vec::new())).collect();
    if query.facets.is_empty() {
        return Ok(facets);
    }
    let statement = write(source, query).statement()?;
    for row in statement.fetch_all(tx.connection()).await? {
        let facet: i32 = row.try_get("facet")?;
        let place = usize::try_from(facet).ok();
        let place = place.and_then(|facet| query.facets.get(facet));
        let Some(column) = place.map(|place| Column::Field(*place)) else {
            continue;
        };
        let text: Option<String> = row.try_get("value")?;
        let value = text
            .map(|text| value_from_text(column.kind(register), &text))
            .transpose()?;
        let count = unsigned(row.try_get("hits")?);
        if let Some(values) = facets.get_mut(column.name(register)) {
            values.push(FacetValue::new(value, count));
        }
    }
    Ok(facets)
}

fn write(source: &dyn RowSource, query: &CheckedQuery) -> SqlWriter {
    let mut writer = SqlWriter::default();
    let expressions: Vec<_> = query
        .facets
        .iter()
        .map(|place| source.expression(&mut writer, Column::Field(*place)))
        .collect();
    let numbered = || expressions.iter().enumerate();
    let names: Vec<String> = numbered().map(|(n, _)| format!("f{n}")).collect();
    let inner: Vec<String> = numbered()
        .map(|(n, expression)| format!("{} AS f{n}", expression.sql))
        .collect();
    let facet: Vec<String> = numbered()
        .map(|(n, _)| format!("WHEN GROUPING(f{n}) = 0 THEN {n}"))
        .collect();
    let value: Vec<String> = numbered()
        .map(|(n, expression)| {
            let text = expression.form.text(&format!("f{n}"));
            format!("WHEN GROUPING(f{n}) = 0 THEN {text} COLLATE \"C\"")
        })
        .collect();
    let sets: Vec<String> = names.iter().map(|name| format!("({name})")).collect();
    let (names, facet, value) = (names.join(", "), facet.join(" "), value.join(" "));
    writer.push(&format!(
        "SELECT facet, value, hits FROM (\n\
         SELECT facet, value, hits, row_number() OVER \
         (PARTITION BY facet ORDER BY hits DESC, {names}) AS place FROM (\n\
         SELECT CASE {facet} END AS facet, CASE {value} END AS value, count(*) AS hits, {names} \
         FROM (\nSELECT {}",
        inner.join(", ")
    ));
    Selection::unsorted(source, query).write(&mut writer);
    writer.push(&format!(
        "\n) matching GROUP BY GROUPING SETS ({})\n) counted\n) placed \
         WHERE place <= {FACET_VALUES_MAX} ORDER BY facet, place",
        sets.join(", ")
    ));
    writer
}
