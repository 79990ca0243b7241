// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! A query as SQL over a source of rows: the table of this crate, or one that a service has.
//!
//! Values are only ever bound, as text with a cast, and so are the keys of registers, fields and
//! relationships: a query of one shape has one statement text, whoever asks it of which register. What is
//! written into the text are words of ours, and what a source gives, which quotes its names.

mod filter;
mod join;
mod lead;
mod search;
mod writer;

use crate::filter::check::{CheckedFilter, Column};
use crate::keys::FieldKey;
use crate::operator::Operator;
use crate::register::LoadedRegister;
use crate::search::Search;

use super::Archived;
use super::plan::CheckedQuery;

use filter::Context;
use join::{Asked, Join, joins};
pub(crate) use lead::{Lead, LeadChoice, choose, lead_by};
pub(crate) use writer::{Bind, Key, SqlWriter};

/// In [`RowBase::created_at`]: the instant is in the row's id, and is asked through it.
pub(crate) const CREATED_AT_IN_ID: &str = "NULL::timestamptz";

/// Rows in SQL.
pub(crate) trait RowSource: Send + Sync {
    /// What the rows are of.
    fn register(&self) -> &LoadedRegister;

    /// Where they are, and what every row has.
    fn base(&self) -> RowBase;

    /// Holds for each row of the register and for no other.
    fn condition(&self, writer: &mut SqlWriter) -> String;

    /// The value of a column that is no reference, in the form in which it is compared.
    fn expression(&self, writer: &mut SqlWriter, column: Column) -> SqlExpression;

    /// Whether an index serves comparisons with a column, beside the side tables.
    fn is_indexed(&self, column: Column) -> bool;

    /// The side table that indexes a field, if it is ready: one entry for each row.
    fn entry(&self, field: usize) -> Option<Entry>;

    /// Whether the base is the table of rows alone, under the alias `r`.
    fn is_one_table(&self) -> bool {
        false
    }

    /// Whether a field is null, or absent: an expression that is never NULL.
    fn state(&self, writer: &mut SqlWriter, field: usize, state: EmptyState) -> String;
}

/// The rows of a source.
pub(crate) struct RowBase {
    /// The table, or a join; without the word FROM.
    pub(crate) from: String,
    /// A uuid.
    pub(crate) id: String,
    /// A bigint.
    pub(crate) version: String,
    /// A text.
    pub(crate) external_ref: String,
    /// A timestamptz, or [`CREATED_AT_IN_ID`].
    pub(crate) created_at: String,
    /// A timestamptz.
    pub(crate) updated_at: String,
    /// A timestamptz.
    pub(crate) archived_at: String,
    /// A jsonb object by field keys.
    pub(crate) cells: String,
    /// What is not NULL for archived rows; none where no row can be archived.
    pub(crate) archived: Option<String>,
    /// Whether the words of its rows are in the search.
    pub(crate) searchable: bool,
}

/// A value in SQL.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SqlExpression {
    /// NULL for an empty cell. A text has its collation.
    pub(crate) sql: String,
    pub(crate) form: Form,
}

/// In which form a value is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    /// Canonical text by code point.
    Text,
    Number,
    /// A number as the text that sorts as numbers do: comparisons of numeric serve no index under
    /// row-level security, those of text do.
    NumberKey,
    Json,
    Uuid,
    Instant,
}

/// The side table that indexes a field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) table: &'static str,
    pub(crate) column: &'static str,
    pub(crate) key: FieldKey,
}

impl Entry {
    /// The form of its column.
    pub(crate) fn form(self) -> Form {
        if self.column == "sort_key" {
            Form::NumberKey
        } else {
            Form::Text
        }
    }

    /// Its column, under an alias of its table.
    pub(crate) fn expression(self, alias: &str) -> SqlExpression {
        SqlExpression {
            sql: format!("{alias}.{}", self.column),
            form: self.form(),
        }
    }
}

/// How a cell is empty.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum EmptyState {
    Null,
    Absent,
}

impl Form {
    /// A bound text as a value of this form.
    pub(crate) fn operand(self, placeholder: &str) -> String {
        match self {
            Self::Text => format!("{placeholder}::text"),
            Self::Number => format!("{placeholder}::text::numeric"),
            Self::NumberKey => format!("forktex_data.number_key({placeholder}::text::numeric)"),
            Self::Json => format!("{placeholder}::text::jsonb"),
            Self::Uuid => format!("{placeholder}::text::uuid"),
            Self::Instant => format!("{placeholder}::text::timestamptz"),
        }
    }

    /// A bound list of texts as values of this form.
    pub(crate) fn operands(self, placeholder: &str) -> String {
        match self {
            Self::Text => format!("{placeholder}::text[]"),
            Self::Number => format!("{placeholder}::text[]::numeric[]"),
            Self::NumberKey => format!(
                "ARRAY(SELECT forktex_data.number_key(operand::numeric) \
                 FROM unnest({placeholder}::text[]) AS operand)"
            ),
            Self::Json => format!("{placeholder}::text[]::jsonb[]"),
            Self::Uuid => format!("{placeholder}::text[]::uuid[]"),
            Self::Instant => format!("{placeholder}::text[]::timestamptz[]"),
        }
    }

    /// A value of this form as canonical text.
    pub(crate) fn text(self, sql: &str) -> String {
        match self {
            Self::Number => format!("trim_scale({sql})::text"),
            Self::Instant => {
                format!("to_char({sql} AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"')")
            }
            Self::Text | Self::NumberKey => sql.to_owned(),
            Self::Json | Self::Uuid => format!("({sql})::text"),
        }
    }
}

/// A query over a source, with the side tables that it joins.
pub(crate) struct Selection<'a> {
    pub(crate) source: &'a dyn RowSource,
    pub(crate) base: RowBase,
    joins: Vec<Join<'a>>,
    lead: Lead,
    query: &'a CheckedQuery,
}

impl<'a> Selection<'a> {
    /// For rows in the order of the query, by what leads through it.
    pub(crate) fn sorted(source: &'a dyn RowSource, query: &'a CheckedQuery, lead: Lead) -> Self {
        let joins = match lead {
            Lead::Any => joins(source, &query.filter, None),
            // An entry is found by its value, never by its row alone: a range is asked of the row.
            Lead::Sort => {
                let first = query.sort.first().map(|key| key.column);
                let mut joins = joins(source, &query.filter, first);
                joins.retain(|join| Some(join.column) == first || join.asked != Asked::Range);
                joins
            }
            Lead::Filter => {
                let mut joins = joins(source, &query.filter, None);
                joins.retain(|join| join.asked == Asked::Value);
                joins
            }
        };
        Self {
            source,
            base: source.base(),
            joins,
            lead,
            query,
        }
    }

    /// For what has no order: counts and aggregates.
    pub(crate) fn unsorted(source: &'a dyn RowSource, query: &'a CheckedQuery) -> Self {
        Self {
            source,
            base: source.base(),
            joins: joins(source, &query.filter, None),
            lead: Lead::Any,
            query,
        }
    }

    /// The value of a column to compare and sort by: that of a joined side table, where there is one.
    pub(crate) fn key(&self, writer: &mut SqlWriter, column: Column) -> SqlExpression {
        // Behind the lead, the values of other side tables are out of sight.
        let seen: &[Join<'_>] = match self.lead {
            Lead::Sort => self.joins.get(..1).unwrap_or_default(),
            Lead::Any | Lead::Filter => &self.joins,
        };
        match seen.iter().find(|join| join.column == column) {
            Some(join) => join.expression(),
            None => key_expression(writer, self.source, &self.base, column),
        }
    }

    /// The id to sort by: that of the side table whose index gives the order.
    pub(crate) fn id(&self) -> String {
        let first = self.query.sort.first().map(|key| key.column);
        let mut joins = self.joins.iter();
        let join = match first {
            Some(column) => joins.find(|join| join.column == column),
            // An index on one value is in the order of the ids.
            None => joins.find(|join| join.asked == Asked::Value),
        };
        join.map_or_else(|| self.base.id.clone(), Join::row_id)
    }

    /// The instant of creation as a value, where it is in the row's id.
    pub(crate) fn created_at(&self, column: Column) -> Option<SqlExpression> {
        let is_in_id = column == Column::CreatedAt && self.base.created_at == CREATED_AT_IN_ID;
        is_in_id.then(|| SqlExpression {
            sql: format!(
                "(TIMESTAMPTZ 'epoch' + ('x' || replace(left({}::text, 13), '-', ''))\
                 ::bit(48)::bigint * INTERVAL '1 millisecond')",
                self.base.id
            ),
            form: Form::Instant,
        })
    }

    /// `FROM .. WHERE ..`, for all that the query asks of rows.
    pub(crate) fn write(&self, writer: &mut SqlWriter) {
        match self.joins.split_first() {
            Some((lead, others)) if self.lead == Lead::Sort => {
                self.write_led(writer, lead, others);
            }
            _ => {
                writer.push("\nFROM ").push(&self.base.from);
                for join in &self.joins {
                    join.write(writer, &self.base.id);
                }
                let condition = self.source.condition(writer);
                writer.push("\nWHERE ").push(&condition);
                self.write_archived(writer);
                self.write_conditions(writer);
            }
        }
    }

    /// The entries of the lead, and of each the others in a chain, from id to id: the server can begin with
    /// no other table, and reads the row itself last, where each entry has passed. `OFFSET 0` keeps the
    /// parts as they stand.
    ///
    /// The lead stands beside them, and not in a sub-select with an order of its own: that would be planned
    /// for all of its rows, and could be sorted first. Here `LIMIT` reaches it, and a page costs the least by
    /// far where the index is walked.
    fn write_led(&self, writer: &mut SqlWriter, lead: &Join<'_>, others: &[Join<'_>]) {
        writer.push(&format!("\nFROM {} {}", lead.entry.table, lead.alias));
        let mut found = lead.row_id();
        for join in others {
            join.write_probe(writer, &found);
            found = join.row_id();
        }
        let condition = self.source.condition(writer);
        writer.push(&format!(
            "\nCROSS JOIN LATERAL (SELECT r.* FROM {}\nWHERE {condition} AND {} = {found}",
            self.base.from, self.base.id
        ));
        self.write_archived(writer);
        self.write_conditions(writer);
        let key = writer.bind_key(Key::Field(lead.entry.key));
        writer.push(&format!(
            "\nOFFSET 0) r\nWHERE {}.field_key = {key}",
            lead.alias
        ));
        lead.write_tests(writer, &lead.alias);
    }

    fn write_archived(&self, writer: &mut SqlWriter) {
        match (&self.base.archived, self.query.archived) {
            (Some(archived), Archived::Exclude) => {
                writer.push(" AND ").push(archived).push(" IS NULL");
            }
            (Some(archived), Archived::Only) => {
                writer.push(" AND ").push(archived).push(" IS NOT NULL");
            }
            (None, Archived::Only) => {
                writer.push(" AND FALSE");
            }
            (_, Archived::Include) | (None, Archived::Exclude) => {}
        }
    }

    /// What no side table is asked.
    fn write_conditions(&self, writer: &mut SqlWriter) {
        let context = Context::new(self.source, &self.base, !self.joins.is_empty());
        for member in conjuncts(&self.query.filter) {
            let is_asked = match member {
                CheckedFilter::Test(test) => self.joins.iter().any(|join| join.asks(test)),
                _ => false,
            };
            if !is_asked {
                writer.push("\n  AND ");
                context.write(writer, member);
            }
        }
        // Others are searched in memory.
        if self.base.searchable && self.query.search != Search::None {
            let key = self.source.register().key;
            search::write(writer, key, &self.base.id, &self.query.search);
        }
    }
}

/// The value of a column to compare and sort by, where no side table is joined.
pub(crate) fn key_expression(
    writer: &mut SqlWriter,
    source: &dyn RowSource,
    base: &RowBase,
    column: Column,
) -> SqlExpression {
    if column == Column::CreatedAt && base.created_at == CREATED_AT_IN_ID {
        source.expression(writer, Column::Id)
    } else {
        source.expression(writer, column)
    }
}

/// What must all hold, one by one.
pub(crate) fn conjuncts(filter: &CheckedFilter) -> Vec<&CheckedFilter> {
    let mut flat = Vec::new();
    let mut open = vec![filter];
    while let Some(filter) = open.pop() {
        match filter {
            CheckedFilter::And(members) => open.extend(members.iter().rev()),
            other => flat.push(other),
        }
    }
    flat
}

/// Whether an index can serve the operator.
pub(crate) fn is_served(operator: Operator) -> bool {
    is_by_value(operator)
        || matches!(
            operator,
            Operator::Lt
                | Operator::Lte
                | Operator::Gt
                | Operator::Gte
                | Operator::Between
                | Operator::StartsWith
                | Operator::IsEmpty
        )
}

fn is_by_value(operator: Operator) -> bool {
    matches!(operator, Operator::Eq | Operator::In)
}

/// Whether a column is a reference, whose links are found from either end.
fn outgoing_link(source: &dyn RowSource, column: Column) -> bool {
    column.is_reference(source.register())
}

pub(crate) fn entry(source: &dyn RowSource, column: Column) -> Option<Entry> {
    match column {
        Column::Field(place) => source.entry(place),
        _ => None,
    }
}

#[cfg(test)]
pub(crate) mod tests;
