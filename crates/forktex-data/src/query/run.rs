// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! A query from its check to its answer: which source is asked, in which order, over one snapshot.

use std::collections::BTreeMap;
use std::sync::Arc;

use forktex_db::sqlx::{self, Row as _};
use forktex_db::{Isolation, Transaction, TransactionOptions};
use futures_util::{Stream, stream};

use crate::bound;
use crate::computed::recompute;
use crate::cursor::Cursor;
use crate::error::DataError;
use crate::explain::{Explanation, warnings};
use crate::filter::check::{RelatedRegisters, relationships};
use crate::register::{BuildState, LoadedRegister, Register, Side, Source};
use crate::result::QueryResult;
use crate::row::Row;
use crate::search::Search;
use crate::virtual_register;

use super::plan::{CheckedQuery, check};
use super::sql::{RowSource, SqlWriter};
use super::stored::StoredSource;
use super::{Count, Ending, QueryError, RowQuery, aggregates, count, facets, page, related};

/// How often a query begins anew because the definition of the register changed under it.
const DEFINITIONS_MAX: usize = 4;

/// Rows of a page of a stream.
const STREAM_PAGE_ROWS: u32 = 500;

/// Rows of the page that is explained.
const EXPLAINED_ROWS: u32 = 50;

/// The definition in the database: one row by its key.
const DEFINITION_VERSION: &str = "\
SELECT version FROM forktex_data.register WHERE key = $1";

/// Answers a query.
pub(super) async fn run(query: &RowQuery, ending: &Ending) -> Result<QueryResult, DataError> {
    let mut register = query.register.clone();
    for _ in 0..DEFINITIONS_MAX {
        let asked = Asked::new(query, ending, &register).await?;
        match asked.answer().await? {
            Some(result) => return Ok(result),
            // An index of the old definition may be gone, and the rows with it.
            None => register = register.refresh().await?,
        }
    }
    Err(DataError::invalid(
        "register",
        "its definition changes while it is queried; try again",
    ))
}

/// All rows, page after page.
pub(super) fn stream(mut query: RowQuery) -> impl Stream<Item = Result<Row, DataError>> + Send {
    query.facets.clear();
    query.aggregates.clear();
    query.count = Count::None;
    let state = Streaming {
        query,
        rows: Vec::new().into_iter(),
        after: None,
        is_last: false,
    };
    stream::try_unfold(state, next_row)
}

async fn next_row(mut state: Streaming) -> Result<Option<(Row, Streaming)>, DataError> {
    loop {
        if let Some(row) = state.rows.next() {
            return Ok(Some((row, state)));
        }
        if state.is_last {
            return Ok(None);
        }
        let ending = Ending::Scroll {
            size: STREAM_PAGE_ROWS,
            after: state.after.take(),
        };
        let page = run(&state.query, &ending).await?;
        state.is_last = page.next.is_none();
        state.after = page.next;
        state.rows = page.rows.into_iter();
    }
}

struct Streaming {
    query: RowQuery,
    rows: std::vec::IntoIter<Row>,
    after: Option<Cursor>,
    is_last: bool,
}

/// Explains a query.
pub(super) async fn explain(query: &RowQuery) -> Result<Explanation, DataError> {
    let mut query = query.clone();
    query.requires_index = false;
    query.group_by.clear();
    let ending = Ending::Scroll {
        size: EXPLAINED_ROWS,
        after: None,
    };
    let register = query.register.clone();
    let asked = Asked::new(&query, &ending, &register).await?;
    let Some(source) = asked.sql_source()? else {
        return Ok(Explanation::default());
    };
    let plan = asked
        .options()
        .transaction(async |tx| -> Result<Vec<String>, DataError> {
            let (source, query) = (source.as_ref(), &asked.query);
            let lead = page::lead(tx, source, query).await?;
            let limit = EXPLAINED_ROWS as usize + 1;
            let mut writer = SqlWriter::new("EXPLAIN ");
            writer.append(page::statement(
                source,
                query,
                lead,
                page::Region::Whole,
                limit,
            ));
            let statement = writer.statement()?;
            let lines = statement.fetch_all(tx.connection()).await?;
            let lines = lines.iter().map(|line| line.try_get::<String, _>(0));
            Ok(lines.collect::<Result<_, sqlx::Error>>()?)
        })
        .await?;
    Ok(Explanation {
        warnings: warnings(source.as_ref(), &asked.query),
        plan: plan.join("\n"),
    })
}

/// A query that fits a register, and what it needs to be answered.
struct Asked<'a> {
    register: &'a Register,
    ending: &'a Ending,
    query: CheckedQuery,
    related: RelatedRegisters,
}

impl<'a> Asked<'a> {
    async fn new(
        query: &RowQuery,
        ending: &'a Ending,
        register: &'a Register,
    ) -> Result<Self, DataError> {
        let related = related_registers(query, register).await?;
        let mut checked = check(query, ending, register.loaded(), &related)?;
        if matches!(ending, Ending::Count) {
            checked.count = Count::Exact;
            checked.facets.clear();
            checked.aggregates.clear();
            checked.related.clear();
        }
        let asked = Self {
            register,
            ending,
            query: checked,
            related,
        };
        asked.check_search()?;
        if query.requires_index
            && let Some(source) = asked.sql_source()?
            && let Some(warning) = warnings(source.as_ref(), &asked.query).into_iter().next()
        {
            return Err(DataError::Unindexed {
                field: warning.field,
            });
        }
        Ok(asked)
    }

    /// The rows in SQL; none of a virtual register.
    fn sql_source(&self) -> Result<Option<Box<dyn RowSource + '_>>, DataError> {
        let source: Box<dyn RowSource + '_> = match self.register.source() {
            Source::Stored => Box::new(StoredSource::new(self.register.loaded())),
            Source::Bound(bound) => bound::query::source(self.register, bound)?,
            Source::Virtual(_) => return Ok(None),
        };
        Ok(Some(source))
    }

    /// A stored register is searched by its words, which must be there.
    fn check_search(&self) -> Result<(), QueryError> {
        if self.query.search == Search::None || !matches!(self.register.source(), Source::Stored) {
            return Ok(());
        }
        let fields = &self.register.loaded().fields;
        let has = |state| fields.iter().any(|field| field.search_state() == state);
        let register = self.register.name().to_owned();
        if has(BuildState::Building) {
            Err(QueryError::SearchNotReady { register })
        } else if has(BuildState::Ready) {
            Ok(())
        } else {
            Err(QueryError::NotSearchable { register })
        }
    }

    /// One snapshot for all statements, so that pages, counts and facets agree.
    fn options(&self) -> TransactionOptions {
        let db = self.register.data().db();
        db.for_org(self.register.tenant())
            .isolation(Isolation::RepeatableRead)
            .read_only()
    }

    /// The answer; none where the definition of the register is another by now.
    async fn answer(&self) -> Result<Option<QueryResult>, DataError> {
        match self.register.source() {
            Source::Virtual(source) => {
                let answer = virtual_register::execute::run(self.register, source, &self.query);
                answer.await.map(Some)
            }
            Source::Bound(bound) if self.query.search != Search::None => {
                let answer =
                    self.options()
                        .transaction(async |tx| -> Result<QueryResult, DataError> {
                            bound::rows::search(tx, self.register, bound, &self.query).await
                        });
                answer.await.map(Some)
            }
            Source::Stored | Source::Bound(_) => {
                let Some(source) = self.sql_source()? else {
                    return Ok(None);
                };
                self.options()
                    .transaction(async |tx| -> Result<Option<QueryResult>, DataError> {
                        self.read(tx, source.as_ref()).await
                    })
                    .await
            }
        }
    }

    async fn read(
        &self,
        tx: &mut Transaction,
        source: &dyn RowSource,
    ) -> Result<Option<QueryResult>, DataError> {
        let query = &self.query;
        let register = self.register.loaded();
        let mut result = QueryResult {
            total: count::read(tx, source, query).await?,
            facets: facets::read(tx, source, query).await?,
            ..QueryResult::default()
        };
        let mut seen = None;
        if query.group_by.is_empty() {
            result.aggregates = aggregates::read(tx, source, query).await?;
            if !matches!(self.ending, Ending::Count) {
                let page = page::read(tx, source, query).await?;
                (result.rows, result.next) = (page.rows, page.next);
                seen = page.schema_version;
            }
        } else {
            result.groups = aggregates::read_groups(tx, source, query).await?;
        }
        if !self.is_current(tx, seen).await? {
            return Ok(None);
        }
        related::read_references(tx, register, &query.fields, &mut result.rows).await?;
        let names = &query.related;
        related::read_related(tx, register, &self.related, names, &mut result.rows).await?;
        result.stale_fields = self.stale_fields(tx, register).await?;
        Ok(Some(result))
    }

    /// Whether the definition that was asked by is the one in the database. It comes with the rows;
    /// only where there are none it is asked for.
    async fn is_current(&self, tx: &mut Transaction, seen: Option<i64>) -> Result<bool, DataError> {
        if !matches!(self.register.source(), Source::Stored) {
            return Ok(true);
        }
        let register = self.register.loaded();
        let version = if seen.is_some() {
            seen
        } else {
            sqlx::query_scalar(DEFINITION_VERSION)
                .bind(register.key.0)
                .fetch_optional(tx.connection())
                .await?
        };
        Ok(version == Some(register.version))
    }

    async fn stale_fields(
        &self,
        tx: &mut Transaction,
        register: &LoadedRegister,
    ) -> Result<Vec<String>, DataError> {
        let places = self.query.fields.iter();
        let asked: Vec<_> = places
            .filter_map(|place| register.fields.get(*place))
            .filter(|field| field.definition().field_type.is_computed())
            .map(|field| field.key)
            .collect();
        if asked.is_empty() || matches!(self.ending, Ending::Count) {
            return Ok(Vec::new());
        }
        recompute::stale_fields(tx, register, &asked).await
    }
}

/// The registers at the other ends of the relationships that a query names: one look each at the
/// catalogue. A name that leads nowhere is left to the check.
async fn related_registers(
    query: &RowQuery,
    register: &Register,
) -> Result<RelatedRegisters, DataError> {
    let mut names = relationships(&query.filter);
    names.extend(query.related.iter().map(String::as_str));
    let mut found: BTreeMap<String, Arc<LoadedRegister>> = BTreeMap::new();
    for name in names {
        let Some((relationship, side)) = register.loaded().relationship(name) else {
            continue;
        };
        if found.contains_key(name) {
            continue;
        }
        let other = match side {
            Side::Source => &relationship.target_name,
            Side::Target => &relationship.source_name,
        };
        let other = register.tenant_data().register(other).await?;
        other.require_stored("relate rows")?;
        found.insert(name.to_owned(), Arc::clone(other.loaded()));
    }
    Ok(RelatedRegisters(found))
}
