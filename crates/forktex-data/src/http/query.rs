// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! Queries: by a query string for simple lists, by a body for all that a [`RowQuery`] can do.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Json;
use axum::body::Body;
use axum::extract::{RawQuery, State};
use serde::Deserialize;
use serde_json::{Value, json};

use super::body::Object;
use super::target::{Path, Tenant};
use super::{Problem, Served, body};
use crate::capability::AggregateFunction;
use crate::cursor::Cursor;
use crate::error::DataError;
use crate::filter::Filter;
use crate::query::{Aggregate, Archived, Count, RowQuery};
use crate::register::Register;
use crate::result::QueryResult;
use crate::row::Row;

/// Rows of a page where the request does not say.
const PAGE_ROWS_DEFAULT: u32 = 50;

/// What a request asks for.
#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Asked {
    filter: Option<Value>,
    search: Option<String>,
    fuzzy_search: Option<String>,
    order_by: Vec<String>,
    fields: Option<Vec<String>>,
    facets: Vec<String>,
    aggregates: BTreeMap<String, Object<AskedAggregate>>,
    group_by: Vec<String>,
    with_related: Vec<String>,
    archived: Option<Archived>,
    count: Option<Count>,
    /// Which page, from 1; without one the rows are scrolled through.
    page: Option<u64>,
    size: Option<u32>,
    /// Where the answer before ended.
    after: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct AskedAggregate {
    function: AggregateFunction,
    #[serde(default)]
    field: Option<String>,
}

pub(super) async fn list(
    tenant: Tenant,
    Path(register): Path<String>,
    RawQuery(query): RawQuery,
) -> Result<Json<Value>, Problem> {
    let mut asked = Asked::default();
    for (name, value) in body::members(query.as_deref())? {
        match name.as_str() {
            "filter" => asked.filter = Some(json_of(&value, "filter")?),
            "search" => asked.search = Some(value),
            "order_by" => asked.order_by = value.split(',').map(str::to_owned).collect(),
            "fields" => asked.fields = Some(value.split(',').map(str::to_owned).collect()),
            "archived" => asked.archived = Some(word_of(&value, "archived")?),
            "count" => asked.count = Some(word_of(&value, "count")?),
            "page" => asked.page = Some(number_of(&value, "page")?),
            "size" => asked.size = Some(number_of(&value, "size")?),
            // A form sends the parameters that it has no value for as well.
            "after" => asked.after = Some(value).filter(|cursor| !cursor.is_empty()),
            _ => {
                return Err(Problem::malformed(
                    "the query string takes filter, search, order_by, fields, archived, count, page, \
                     size and after",
                ));
            }
        }
    }
    answer(&tenant.register(&register).await?, asked).await
}

pub(super) async fn run(
    State(served): State<Arc<Served>>,
    tenant: Tenant,
    Path(register): Path<String>,
    body: Body,
) -> Result<Json<Value>, Problem> {
    let Object(asked) = body::json(body, served.body_bytes_max).await?;
    answer(&tenant.register(&register).await?, asked).await
}

async fn answer(register: &Register, asked: Asked) -> Result<Json<Value>, Problem> {
    let size = asked.size.unwrap_or(PAGE_ROWS_DEFAULT);
    let (page, after) = (asked.page, asked.after.as_deref().map(Cursor::from));
    let query = query_of(register, asked)?;
    let result = match (page, after) {
        (Some(_), Some(_)) => {
            return Err(Problem::malformed("`page` and `after` exclude each other"));
        }
        (Some(page), None) => query.page(page, size).await,
        (None, Some(after)) => query.scroll_after(after, size).await,
        (None, None) => query.scroll(size).await,
    };
    Ok(Json(written(&result?)))
}

fn query_of(register: &Register, asked: Asked) -> Result<RowQuery, Problem> {
    let mut query = RowQuery::new(register)
        .facets(asked.facets)
        .group_by(asked.group_by)
        .with_related(asked.with_related);
    if let Some(filter) = &asked.filter {
        query = query.filter(Filter::from_json(filter).map_err(DataError::from)?);
    }
    if let Some(text) = asked.search {
        query = query.search(text);
    }
    if let Some(text) = asked.fuzzy_search {
        query = query.fuzzy_search(text);
    }
    for key in asked.order_by {
        query = query.order_by(key);
    }
    if let Some(fields) = asked.fields {
        query = query.fields(fields);
    }
    for (name, Object(aggregate)) in asked.aggregates {
        query = query.aggregate(aggregate.into_aggregate()?.named(name));
    }
    if let Some(archived) = asked.archived {
        query = query.archived(archived);
    }
    if let Some(count) = asked.count {
        query = query.count(count);
    }
    Ok(query)
}

impl AskedAggregate {
    fn into_aggregate(self) -> Result<Aggregate, Problem> {
        Ok(match (self.function, self.field) {
            (AggregateFunction::Count, None) => Aggregate::count(),
            (function, Some(field)) => Aggregate::of(function, field),
            (_, None) => {
                return Err(Problem::malformed(
                    "an aggregate has a function and a field; only count can do without one",
                ));
            }
        })
    }
}

fn written(result: &QueryResult) -> Value {
    json!({
        "rows": result.rows.iter().map(Row::to_json).collect::<Vec<_>>(),
        "next": result.next.as_ref().map(Cursor::as_str),
        "total": result.total,
        "facets": result.facets,
        "aggregates": result.aggregates,
        "groups": result.groups,
        "stale_fields": result.stale_fields,
    })
}

fn json_of(text: &str, name: &str) -> Result<Value, Problem> {
    serde_json::from_str(text).map_err(|_| Problem::malformed(format!("`{name}` is not JSON")))
}

fn word_of<T: serde::de::DeserializeOwned>(word: &str, name: &str) -> Result<T, Problem> {
    serde_json::from_value(word.into())
        .map_err(|_| Problem::malformed(format!("`{name}` is none of the words that it can be")))
}

fn number_of<T: std::str::FromStr>(text: &str, name: &str) -> Result<T, Problem> {
    text.parse()
        .map_err(|_| Problem::malformed(format!("`{name}` must be a whole number")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_with_an_unknown_member_is_refused() {
        assert!(serde_json::from_value::<Asked>(json!({ "filters": {} })).is_err());
        let asked: Asked = serde_json::from_value(json!({
            "order_by": ["-total"],
            "aggregates": { "all": { "function": "sum", "field": "total" } },
        }))
        .unwrap();
        assert_eq!(asked.order_by, ["-total"]);
        assert!(
            asked
                .aggregates
                .into_values()
                .all(|Object(one)| one.into_aggregate().is_ok())
        );
    }
}
