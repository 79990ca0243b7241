// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! A query held against the definition of its register: what every source is asked with. Pure.

use std::collections::BTreeSet;

use serde_json::json;

use crate::capability::AggregateFunction;
use crate::cursor::Fingerprint;
use crate::filter::check::{self, CheckedFilter, Column, RelatedRegisters, nearest_relationship};
use crate::limits::PAGE_ROWS_MAX;
use crate::register::LoadedRegister;
use crate::search::Search;
use crate::sort::{self, SortKey};
use crate::value::{Value, ValueKind};

use super::{Aggregate, Archived, Ending, PAGE_OFFSET_MAX, QueryError, QueryPart, RowQuery};

pub(crate) use super::Count;

/// A query that fits its register.
#[derive(Clone)]
pub(crate) struct CheckedQuery {
    pub(crate) filter: CheckedFilter,
    pub(crate) search: Search,
    pub(crate) sort: Vec<SortKey>,
    pub(crate) archived: Archived,
    pub(crate) count: Count,
    /// Places of fields.
    pub(crate) facets: Vec<usize>,
    pub(crate) aggregates: Vec<CheckedAggregate>,
    pub(crate) group_by: Vec<Column>,
    /// Places of the fields that the rows of the answer have.
    pub(crate) fields: Vec<usize>,
    pub(crate) related: Vec<String>,
    pub(crate) window: Window,
    pub(crate) fingerprint: Fingerprint,
}

/// One aggregate. Without a column, it counts rows.
#[derive(Clone)]
pub(crate) struct CheckedAggregate {
    pub(crate) name: String,
    pub(crate) function: AggregateFunction,
    pub(crate) column: Option<Column>,
}

/// Which rows of the list.
#[derive(Clone)]
pub(crate) enum Window {
    /// A page by its number, from 1.
    Page { number: u64, size: u32 },
    /// Those after a row, given by its values in the columns of the sort and its id.
    Scroll {
        size: u32,
        after: Option<Vec<Option<Value>>>,
    },
}

impl Window {
    pub(crate) fn size(&self) -> u32 {
        match self {
            Self::Page { size, .. } | Self::Scroll { size, .. } => *size,
        }
    }
}

/// Checks a query.
///
/// # Errors
/// [`QueryError`] with the first thing that does not fit.
pub(super) fn check(
    query: &RowQuery,
    ending: &Ending,
    register: &LoadedRegister,
    related: &RelatedRegisters,
) -> Result<CheckedQuery, QueryError> {
    let types = query.register.data().types();
    let filter = check::check(&query.filter, register, related, types)?;
    let search = match &query.search {
        Some((text, is_fuzzy)) => Search::new(text, *is_fuzzy)?,
        None => Search::None,
    };
    let sort = sort::check(&query.order, register)?;
    let fingerprint = fingerprint(query, register);
    let window = window(ending, register, &sort, &fingerprint)?;
    QueryPart::Facets.check(query.facets.len())?;
    QueryPart::GroupFields.check(query.group_by.len())?;
    QueryPart::Related.check(query.related.len())?;
    if !query.group_by.is_empty() && !matches!(ending, Ending::Page { .. }) {
        return Err(QueryError::GroupsHaveNoRows);
    }
    Ok(CheckedQuery {
        filter,
        search,
        sort,
        archived: query.archived,
        count: query.count,
        facets: facets(&query.facets, register)?,
        aggregates: aggregates(&query.aggregates, register)?,
        group_by: group_by(&query.group_by, register)?,
        fields: fields(query.fields.as_deref(), register)?,
        related: related_names(&query.related, register)?,
        window,
        fingerprint,
    })
}

/// All that decides which rows come in which order.
fn fingerprint(query: &RowQuery, register: &LoadedRegister) -> Fingerprint {
    let rest = json!([query.search, query.order, query.archived]);
    Fingerprint::new(register, query.register.tenant(), &query.filter, &rest)
}

fn window(
    ending: &Ending,
    register: &LoadedRegister,
    sort: &[SortKey],
    fingerprint: &Fingerprint,
) -> Result<Window, QueryError> {
    let window = match ending {
        Ending::Page { number, size } => {
            let passed = number
                .checked_sub(1)
                .and_then(|pages| pages.checked_mul(u64::from(*size)))
                .filter(|rows| *rows <= PAGE_OFFSET_MAX);
            if passed.is_none() {
                return Err(QueryError::PageNumber { number: *number });
            }
            Window::Page {
                number: *number,
                size: *size,
            }
        }
        Ending::Scroll { size, after } => {
            let kinds: Vec<ValueKind> = sort
                .iter()
                .map(|key| key.column.kind(register))
                .chain([ValueKind::Uuid])
                .collect();
            let after = after
                .as_ref()
                .map(|cursor| cursor.decode(fingerprint, &kinds))
                .transpose()?;
            // Every row has an id.
            if after.as_ref().is_some_and(|row| row.last() == Some(&None)) {
                return Err(QueryError::CursorMalformed);
            }
            Window::Scroll { size: *size, after }
        }
        Ending::Count => Window::Page { number: 1, size: 1 },
    };
    let size = window.size();
    let rows = usize::try_from(size).unwrap_or(usize::MAX);
    if !(1..=PAGE_ROWS_MAX).contains(&rows) {
        return Err(QueryError::PageSize { size });
    }
    Ok(window)
}

fn find(register: &LoadedRegister, name: &str) -> Result<Column, QueryError> {
    Column::find(register, name).ok_or_else(|| QueryError::UnknownField {
        register: register.name.clone(),
        field: name.to_owned(),
        nearest: Column::nearest(register, name),
    })
}

fn not_facetable(register: &LoadedRegister, column: Column) -> QueryError {
    QueryError::NotFacetable {
        field: column.name(register).to_owned(),
        kind: column.kind(register),
    }
}

fn facets(names: &[String], register: &LoadedRegister) -> Result<Vec<usize>, QueryError> {
    let mut places = Vec::with_capacity(names.len());
    for name in names {
        let column = find(register, name)?;
        match column {
            Column::Field(place) if column.capabilities(register).facetable => {
                if !places.contains(&place) {
                    places.push(place);
                }
            }
            _ => return Err(not_facetable(register, column)),
        }
    }
    Ok(places)
}

fn group_by(names: &[String], register: &LoadedRegister) -> Result<Vec<Column>, QueryError> {
    let mut columns = Vec::with_capacity(names.len());
    for name in names {
        let column = find(register, name)?;
        if !column.capabilities(register).facetable {
            return Err(not_facetable(register, column));
        }
        if !columns.contains(&column) {
            columns.push(column);
        }
    }
    Ok(columns)
}

fn aggregates(
    wanted: &[Aggregate],
    register: &LoadedRegister,
) -> Result<Vec<CheckedAggregate>, QueryError> {
    QueryPart::Aggregates.check(wanted.len())?;
    let mut names = BTreeSet::new();
    let mut checked = Vec::with_capacity(wanted.len());
    for Aggregate {
        function,
        field,
        name,
    } in wanted
    {
        if !names.insert(name) {
            return Err(QueryError::DuplicateName { name: name.clone() });
        }
        let column = field.as_deref().map(|name| find(register, name));
        let column = column.transpose()?;
        if let Some(column) = column {
            let allowed = column.capabilities(register).aggregates;
            if column.is_reference(register) || !allowed.contains(function) {
                return Err(QueryError::NotAggregable {
                    function: *function,
                    field: column.name(register).to_owned(),
                    kind: column.kind(register),
                });
            }
        }
        checked.push(CheckedAggregate {
            name: name.clone(),
            function: *function,
            column,
        });
    }
    Ok(checked)
}

/// What every row has is always there, so that it need not be asked for.
fn fields(names: Option<&[String]>, register: &LoadedRegister) -> Result<Vec<usize>, QueryError> {
    let Some(names) = names else {
        return Ok((0..register.fields.len()).collect());
    };
    let mut places = BTreeSet::new();
    for name in names {
        if let Column::Field(place) = find(register, name)? {
            places.insert(place);
        }
    }
    Ok(places.into_iter().collect())
}

fn related_names(names: &[String], register: &LoadedRegister) -> Result<Vec<String>, QueryError> {
    let mut known: Vec<String> = Vec::with_capacity(names.len());
    for name in names {
        if register.relationship(name).is_none() {
            return Err(QueryError::UnknownRelationship {
                register: register.name.clone(),
                relationship: name.clone(),
                nearest: nearest_relationship(register, name),
            });
        }
        if !known.contains(name) {
            known.push(name.clone());
        }
    }
    Ok(known)
}
