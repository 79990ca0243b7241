// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! A query as SQL over a source of rows: the table of this crate, or one that a service has.
//!
//! Values are only ever bound, as text with a cast, so that a query of one shape has one statement
//! text. What is written into the text are words of ours, keys that are numbers, and what a source
//! gives, which quotes its names.

mod filter;
mod lead;
mod search;
mod writer;

use crate::filter::check::{CheckedFilter, Column, Test};
use crate::keys::FieldKey;
use crate::operator::Operator;
use crate::register::LoadedRegister;
use crate::search::Search;

use super::Archived;
use super::plan::CheckedQuery;

use filter::{Context, Join, write_test_on};
pub(crate) use lead::{Lead, LeadChoice, choose, lead_by};
pub(crate) use writer::{Bind, SqlWriter};

/// In [`RowBase::created_at`]: the instant is in the row's id, and is asked through it.
pub(crate) const CREATED_AT_IN_ID: &str = "NULL::timestamptz";

/// How many side tables one statement joins; what is beyond is asked of the cells.
const JOINS_MAX: usize = 6;

/// Rows in SQL.
pub(crate) trait RowSource: Send + Sync {
    /// What the rows are of.
    fn register(&self) -> &LoadedRegister;

    /// Where they are, and what every row has.
    fn base(&self) -> RowBase;

    /// The value of a column that is no reference, in the form in which it is compared.
    fn expression(&self, column: Column) -> SqlExpression;

    /// The side table that indexes a field, if it is ready: one entry for each row.
    fn entry(&self, field: usize) -> Option<Entry>;

    /// Whether the base is the table of rows alone, under the alias `r`.
    fn is_one_table(&self) -> bool {
        false
    }

    /// Whether a field is null, or absent: an expression that is never NULL.
    fn state(&self, field: usize, state: EmptyState) -> String;
}

/// The rows of a source.
pub(crate) struct RowBase {
    /// The table, or a join; without the word FROM.
    pub(crate) from: String,
    /// Holds for each row of the register and for no other.
    pub(crate) condition: String,
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
    /// Whether an index serves comparisons with it.
    pub(crate) indexed: bool,
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
    joins: Vec<Join>,
    lead: Lead,
    query: &'a CheckedQuery,
}

impl<'a> Selection<'a> {
    /// For rows in the order of the query, by what leads through it.
    pub(crate) fn sorted(source: &'a dyn RowSource, query: &'a CheckedQuery, lead: Lead) -> Self {
        let first = query.sort.first().map(|key| key.column);
        let joins = match lead {
            Lead::Any | Lead::Sort => joins(source, &query.filter, first),
            Lead::Filter => {
                let mut joins = joins(source, &query.filter, None);
                joins.retain(|join| join.is_by_value);
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
    pub(crate) fn key(&self, column: Column) -> SqlExpression {
        // Behind the lead, the side tables of others are out of sight.
        let seen = if self.lead == Lead::Sort {
            1
        } else {
            JOINS_MAX
        };
        let mut joins = self.joins.iter().take(seen);
        match joins.find(|join| join.column == column) {
            Some(join) => join.expression(),
            None => key_expression(self.source, &self.base, column),
        }
    }

    /// The id to sort by: that of the side table whose index gives the order.
    pub(crate) fn id(&self) -> String {
        let first = self.query.sort.first().map(|key| key.column);
        let join = match first {
            Some(column) => self.joins.iter().find(|join| join.column == column),
            // An index on one value is in the order of the ids.
            None => self.joins.iter().find(|join| join.is_by_value),
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
            indexed: false,
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
                writer.push("\nWHERE ").push(&self.base.condition);
                self.write_archived(writer);
                let members = conjuncts(&self.query.filter);
                self.write_conditions(writer, members);
            }
        }
    }

    /// The entries of the lead, and for each of them its row, if that is asked for. `OFFSET 0` keeps the
    /// inner part as it stands.
    fn write_led(&self, writer: &mut SqlWriter, lead: &Join, others: &[Join]) {
        let entry = lead.entry;
        writer.push(&format!(
            "\nFROM {} {}\nCROSS JOIN LATERAL (SELECT r.* FROM {}",
            entry.table, lead.alias, self.base.from
        ));
        for join in others {
            join.write(writer, &lead.row_id());
        }
        writer.push(&format!(
            "\nWHERE {} AND {} = {}",
            self.base.condition,
            self.base.id,
            lead.row_id()
        ));
        self.write_archived(writer);
        let (of_lead, of_row): (Vec<_>, Vec<_>) = conjuncts(&self.query.filter)
            .into_iter()
            .partition(|member| {
                matches!(member, CheckedFilter::Test(test)
                    if test.column == lead.column && is_served(test.operator))
            });
        self.write_conditions(writer, of_row);
        writer.push(&format!(
            "\nOFFSET 0) r\nWHERE {}.field_key = {}",
            lead.alias, entry.key
        ));
        for member in of_lead {
            if let CheckedFilter::Test(test) = member {
                writer.push("\n  AND ");
                write_test_on(writer, test, &lead.expression());
            }
        }
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

    fn write_conditions(&self, writer: &mut SqlWriter, members: Vec<&CheckedFilter>) {
        let context = Context::new(self.source, &self.base, &self.joins);
        for member in members {
            writer.push("\n  AND ");
            context.write(writer, member);
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
    source: &dyn RowSource,
    base: &RowBase,
    column: Column,
) -> SqlExpression {
    if column == Column::CreatedAt && base.created_at == CREATED_AT_IN_ID {
        source.expression(Column::Id)
    } else {
        source.expression(column)
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

/// Which side tables are joined. That of the first sort key, always: its index gives the order. Those
/// of single values, always: they cost little, whichever side the planner begins with. That of a range
/// only where nothing narrows the rows better: else the cells are asked of the rows that are left.
fn joins(source: &dyn RowSource, filter: &CheckedFilter, first: Option<Column>) -> Vec<Join> {
    let tests: Vec<&Test> = conjuncts(filter)
        .into_iter()
        .filter_map(|member| match member {
            CheckedFilter::Test(test) if is_served(test.operator) => Some(test),
            _ => None,
        })
        .collect();
    let has_value = tests
        .iter()
        .any(|test| is_by_value(test.operator) && entry(source, test.column).is_some());
    let mut columns: Vec<Column> = first.into_iter().collect();
    columns.extend(
        tests
            .iter()
            .filter(|test| is_by_value(test.operator) || !has_value)
            .map(|test| test.column),
    );
    let mut joins: Vec<Join> = Vec::new();
    for column in columns {
        if joins.len() < JOINS_MAX
            && joins.iter().all(|join| join.column != column)
            && let Some(entry) = entry(source, column)
        {
            let is_by_value = tests
                .iter()
                .any(|test| test.column == column && test.operator == Operator::Eq);
            joins.push(Join {
                alias: format!("s{}", joins.len() + 1),
                column,
                entry,
                is_by_value,
            });
        }
    }
    joins
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
mod tests;
